"""One folder an identity: which are trained on, and what is looked for."""

import pathlib
import re

import numpy as np

from keras_graft.data.image_names import is_hidden
from keras_graft.data.tfds_source import DataUnavailableError
from keras_graft.recognition.image_files import ImageFiles
from keras_graft.recognition.image_files import Problems
from keras_graft.recognition.image_files import images_in
from keras_graft.recognition.layouts import RetrievalFiles
from keras_graft.recognition.queries import draw_queries
from keras_graft.recognition.queries import found_again

# Of the identities that can be looked for.
_TEST_SHARE = 0.5


def identity_files(
    root: pathlib.Path,
    camera_pattern: str | None,
    seed: int,
    problems: Problems,
) -> RetrievalFiles:
    """The files of a folder that holds one folder an identity.

    Half of the identities are judged, drawn by the seed among those that can
    be: with two images, by two cameras where there are cameras. The others
    are trained on.

    Args:
        root: The folder.
        camera_pattern: Regular expression with one group, searched in a
            file's name: what the group holds is its camera. None: there are
            no cameras, and every image counts as one of its own.
        seed: Seed of the draws.
        problems: Takes files without a camera.

    Raises:
        DataUnavailableError: If the folder is not there.
        ValueError: If the pattern is none, or identities are too few.
    """
    pattern = _compiled(camera_pattern)
    if not root.is_dir():
        raise DataUnavailableError(f"There is no folder {root}.")
    folders = sorted(
        path
        for path in root.iterdir()
        if path.is_dir() and not is_hidden(path.name)
    )
    cameras: dict[str, int] = {}
    rows = []
    for identity, folder in enumerate(folders):
        for path in images_in(folder):
            match = pattern and pattern.search(path.name)
            if pattern and not match:
                problems.add(f"files without {camera_pattern!r}", path)
                continue
            key = match[1] if match else str(path)
            camera = cameras.setdefault(key, len(cameras))
            rows.append((path, identity, camera))
    everything = ImageFiles.of(rows)
    identities = np.unique(everything.ids)
    able = found_again(everything.ids, everything.cameras)
    count = int(len(able) * _TEST_SHARE)
    if count < 2 or len(identities) - count < 2:
        problems.refuse()
        raise ValueError(
            f"{root} has too few identities: {len(identities)} folders with "
            f"images, {len(able)} of them with images by two cameras (or two "
            "images, without cameras). Half of these are judged and the "
            "others trained on: 4 are needed."
        )
    judged = np.random.default_rng([seed, 0]).permutation(able)[:count]
    is_judged = np.isin(everything.ids, judged)
    test = everything.take(np.flatnonzero(is_judged))
    is_query = draw_queries(test.ids, test.cameras, seed)
    return RetrievalFiles(
        everything.take(np.flatnonzero(~is_judged)),
        test.take(np.flatnonzero(is_query)),
        test.take(np.flatnonzero(~is_query)),
    )


def _compiled(pattern):
    if pattern is None:
        return None
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ValueError(
            f"`camera_pattern` is no regular expression: {error}. Received: "
            f"{pattern!r}"
        ) from error
    if compiled.groups != 1:
        raise ValueError(
            "`camera_pattern` must have one group, which holds the camera, "
            f"such as '_c(\\d)'. Received: {pattern!r}"
        )
    return compiled
