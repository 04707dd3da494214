"""The files of the re-identification benchmarks, as they are distributed."""

import dataclasses
import pathlib
import re

import numpy as np

from keras_graft.data.tfds_source import DataUnavailableError
from keras_graft.recognition.image_files import ImageFiles
from keras_graft.recognition.image_files import Problems
from keras_graft.recognition.image_files import labelled_by_name
from keras_graft.recognition.labels import JUNK

_MARKET_FOLDERS = ("bounding_box_train", "query", "bounding_box_test")
_MARKET_NAME = re.compile(r"(-1|\d+)_c(\d+)(?!\d)")
_MARKET_FORM = (
    "it does not begin with identity and camera, such as 0002_c1s1_000451_03"
)
_MSMT17_LISTS = ("list_train.txt", "list_query.txt", "list_gallery.txt")
_MSMT17_FOLDERS = (("train", "test"), ("mask_train_v2", "mask_test_v2"))
# Identity, then its folder's images: 0000/0000_000_01_0303morning_0008_0.jpg
_MSMT17_NAME = re.compile(r"\d+_\d+_(\d+)_")
DISTRACTOR = 0


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """How a benchmark is laid out.

    Attributes:
        title: Its name for people.
        cameras: How many it has; None: any number.
        has_distractors: Whether identity 0 is one, in the gallery alone.
    """

    title: str
    cameras: int | None
    has_distractors: bool


# In Market's layout: what else their files may not say. Duke's distractors
# have identities of their own, which no query has.
MARKET_LIKE = {
    "market1501": Benchmark("Market-1501", 6, True),
    "duke": Benchmark("DukeMTMC-reID", 8, False),
    "cuhk03": Benchmark("CUHK03-NP", 2, False),
    "market_layout": Benchmark("a folder in Market's layout", None, True),
}


@dataclasses.dataclass(frozen=True)
class RetrievalFiles:
    """The files of a benchmark.

    Attributes:
        train: To train on.
        query: What is looked for.
        gallery: Where.
    """

    train: ImageFiles
    query: ImageFiles
    gallery: ImageFiles


def market_files(
    name: str, root: pathlib.Path, problems: Problems
) -> RetrievalFiles:
    """The files of a benchmark in Market's layout.

    `bounding_box_train`, `query` and `bounding_box_test`, the names of files
    beginning with identity and camera.

    Args:
        name: One of `MARKET_LIKE`.
        root: Its folder, or the one that this folder alone is in.
        problems: Takes misnamed files.

    Raises:
        DataUnavailableError: If a folder is not there.
    """
    benchmark = MARKET_LIKE[name]
    root = _root_with(root, _MARKET_FOLDERS, benchmark.title)

    def label_of(file, in_gallery):
        match = _MARKET_NAME.match(file)
        if not match:
            return _MARKET_FORM
        identity, camera = map(int, match.groups())
        if not 1 <= camera <= (benchmark.cameras or camera):
            most = benchmark.cameras or "on"
            return f"camera {camera}, where there are 1 to {most}"
        if identity == JUNK and not in_gallery:
            return "junk (-1), which belongs into the gallery alone"
        if identity == DISTRACTOR and not in_gallery:
            if benchmark.has_distractors:
                return "a distractor (0), which belongs into the gallery alone"
        return identity, camera

    return RetrievalFiles(
        *(
            labelled_by_name(
                root / folder,
                lambda file, in_gallery=folder == _MARKET_FOLDERS[-1]: label_of(
                    file, in_gallery
                ),
                problems,
            )
            for folder in _MARKET_FOLDERS
        )
    )


def msmt17_files(root: pathlib.Path, problems: Problems) -> RetrievalFiles:
    """The files of MSMT17, V1 or V2, by its lists.

    `list_val.txt` is trained on too, as the benchmark's 32,621 training
    images count it. Identities of training and test are numbered apart.

    Args:
        root: Its folder, or the one that this folder alone is in.
        problems: Takes files that a list names wrongly.

    Raises:
        DataUnavailableError: If a list or folder is not there.
    """
    root = _root_with(root, _MSMT17_LISTS, "MSMT17")
    for folders in _MSMT17_FOLDERS:
        if (root / folders[0]).is_dir():
            train, test = (root / folder for folder in folders)
            break
    else:
        raise DataUnavailableError(
            f"{root} has neither train/ (MSMT17 V1) nor mask_train_v2/ (V2) "
            "beside its lists."
        )
    lists = [root / "list_train.txt", root / "list_val.txt"]
    return RetrievalFiles(
        ImageFiles.of(
            row
            for path in lists
            if path.exists()
            for row in _listed(path, train, problems)
        ),
        ImageFiles.of(_listed(root / "list_query.txt", test, problems)),
        ImageFiles.of(_listed(root / "list_gallery.txt", test, problems)),
    )


def _listed(path, folder, problems):
    lines = path.read_text("utf-8", errors="replace").splitlines()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        name, _, identity = line.strip().rpartition(" ")
        match = _MSMT17_NAME.match(pathlib.PurePosixPath(name).name)
        if not match or not identity.isdecimal():
            problems.add(
                "lines that are not a file and its identity", path, f"{number}"
            )
        elif not (folder / name).is_file():
            problems.add("files that a list names are missing", folder / name)
        else:
            yield folder / name, int(identity), int(match[1])


def _root_with(root, names, title):
    """The folder that holds all `names`: `root`, or the only one in it."""
    if not root.is_dir():
        raise DataUnavailableError(
            f"There is no folder {root}. {title} is not fetched by this "
            "package: its authors give it on request. Unpack it and name the "
            "folder."
        )
    inside = sorted(path for path in root.iterdir() if path.is_dir())
    found = [
        folder
        for folder in [root, *inside]
        if all((folder / name).exists() for name in names)
    ]
    if found and found[0] == root or len(found) == 1:
        return found[0]
    if found:
        raise DataUnavailableError(
            f"{root} holds several: "
            f"{', '.join(folder.name for folder in found)}. Name one of them."
        )
    missing = [name for name in names if not (root / name).exists()]
    raise DataUnavailableError(
        f"{root} is not {title} as it is distributed: {', '.join(missing)} "
        "is missing."
    )


def shared_identities(train: ImageFiles, query: ImageFiles) -> np.ndarray:
    """Identities that are trained on and judged by, sorted."""
    return np.intersect1d(train.ids, query.ids)
