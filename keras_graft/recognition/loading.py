"""The images of a recognition task: to train on, to look for, and where."""

import dataclasses
import hashlib
import os
import pathlib

import numpy as np

from keras_graft.checks import packages
from keras_graft.checks.numbers import is_whole
from keras_graft.data import digits
from keras_graft.data.names import RETRIEVAL_DATASETS
from keras_graft.data.names import RETRIEVAL_SOURCES
from keras_graft.data.splits import SourceFile
from keras_graft.recognition.identity_folders import identity_files
from keras_graft.recognition.image_files import ImageFiles
from keras_graft.recognition.image_files import Problems
from keras_graft.recognition.layouts import MARKET_LIKE
from keras_graft.recognition.layouts import market_files
from keras_graft.recognition.layouts import msmt17_files
from keras_graft.recognition.layouts import shared_identities
from keras_graft.recognition.queries import draw_queries
from keras_graft.recognition.queries import hold_out

DATASETS = (*RETRIEVAL_SOURCES, "folder", *RETRIEVAL_DATASETS)

_PERSON = (256, 128)
# Of the digits: those before it are trained on, the others judged.
_FIRST_JUDGED_DIGIT = 5


@dataclasses.dataclass(frozen=True, eq=False)
class LabelledImages:
    """Images with identities and cameras.

    Attributes:
        images: uint8, shape [n, height, width, channels], pixels 0 to 255.
        ids: Identities, int64, shape [n].
        cameras: int64, shape [n].
    """

    images: np.ndarray
    ids: np.ndarray
    cameras: np.ndarray

    def __post_init__(self):
        if self.images.ndim != 4 or self.images.dtype != np.uint8:
            raise ValueError(
                "Images must be uint8 of shape [n, height, width, channels]. "
                f"Received: {self.images.dtype} of shape {self.images.shape}"
            )
        for name in ("ids", "cameras"):
            numbers = getattr(self, name)
            if numbers.shape != self.images.shape[:1]:
                raise ValueError(
                    f"`{name}` must have a number for each of "
                    f"{len(self.images)} images. Received: shape "
                    f"{numbers.shape}"
                )

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def labels(self) -> np.ndarray:
        """Identities counted from 0, as a classifier takes them: int32."""
        return np.unique(self.ids, return_inverse=True)[1].astype(np.int32)

    @property
    def num_identities(self) -> int:
        """How many different identities there are."""
        return len(np.unique(self.ids))

    def take(self, rows: np.ndarray) -> "LabelledImages":
        """The images at `rows` (int or bool)."""
        return LabelledImages(
            self.images[rows], self.ids[rows], self.cameras[rows]
        )


@dataclasses.dataclass(frozen=True, eq=False)
class RetrievalData:
    """What a network is trained on, and what it is judged by.

    Attributes:
        train: To train on.
        query: What is looked for.
        gallery: Where.
        notes: Sentences for a person about what was read.
        files: The files that it was read from; empty for digits. Their
            splits are `"train"`, `"query"` and `"gallery"`, their classes
            the identities, and digests are of the pixels as they are here.
    """

    train: LabelledImages
    query: LabelledImages
    gallery: LabelledImages
    notes: tuple[str, ...] = ()
    files: tuple[SourceFile, ...] = ()


def load(
    name: str,
    folder: str | os.PathLike | None = None,
    image_shape: tuple[int, int] | None = None,
    camera_pattern: str | None = None,
    seed: int = 0,
) -> RetrievalData:
    """Reads a re-identification benchmark, or images of one's own.

    Junk (-1) and distractors stay in the gallery, where
    `retrieval_metrics` treats them as the benchmark does. All images are in
    memory: 96 KiB each of 256 x 128 pixels.

    Args:
        name: `"market1501"`, `"duke"` (DukeMTMC-reID), `"cuhk03"` (its new
            protocol, CUHK03-NP: the folder of the labelled or of the detected
            boxes), `"msmt17"`; `"market_layout"` for any folder in Market's
            layout; `"folder"` for one folder an identity; `"digits"` for
            scikit-learn's: 0 to 4 are trained on, every image of 5 to 9 is
            looked for among all others of them, as for CUB-200-2011.
        folder: Where its files are, as they were unpacked; `"digits"` has
            none.
        image_shape: (height, width) in pixels that images are stretched to.
            Defaults to (256, 128); digits stay as they are.
        camera_pattern: For `"folder"`: a regular expression with one group
            that finds the camera in a file's name, such as `"_c(\\d)"`. None:
            there are no cameras.
        seed: For `"folder"`: seed of the draw of the identities that are
            judged, and of the queries; 0 or more.

    Returns:
        A `RetrievalData`.

    Raises:
        DataUnavailableError: If the folder is not there, or not laid out so.
        ValueError: If an argument is out of its range, or files are misnamed,
            missing or broken: all of them in one message.
        MissingPackageError: If files are to be read without Pillow.
    """
    if name not in DATASETS:
        raise ValueError(
            f"Unknown dataset {name!r}. Known: {', '.join(DATASETS)}"
        )
    if camera_pattern is not None and name != "folder":
        raise ValueError(
            "`camera_pattern` is for 'folder': the others' names tell the "
            f"camera. Received: camera_pattern={camera_pattern!r} with {name!r}"
        )
    if name == "digits":
        return _digits(folder, image_shape)
    if folder is None:
        raise ValueError(f"{name!r} is read from a `folder`: give it.")
    image_shape = _PERSON if image_shape is None else image_shape
    if len(image_shape) != 2 or not all(is_whole(n, 1) for n in image_shape):
        raise ValueError(
            "`image_shape` must be (height, width), whole numbers from 1 on. "
            f"Received: {image_shape!r}"
        )
    packages.require("Reading image files", packages.IMAGE_FILES)
    root = pathlib.Path(folder)
    problems = Problems(root)
    if name == "folder":
        files = identity_files(root, camera_pattern, seed, problems)
    elif name == "msmt17":
        files = msmt17_files(root, problems)
    else:
        files = market_files(name, root, problems)
    parts, sources = {}, []
    for part in ("train", "query", "gallery"):
        of_part = getattr(files, part)
        parts[part] = _read(of_part, image_shape, problems)
        sources += _source_files(root, part, of_part, parts[part].images)
    problems.refuse()
    for part, found in parts.items():
        if not len(found):
            raise ValueError(f"{root} has no images of its part '{part}'.")
    notes = []
    shared = shared_identities(files.train, files.query)
    if len(shared) and name in MARKET_LIKE:
        notes.append(
            f"{len(shared)} identities are trained on and looked for, such as "
            f"{shared[0]}: what is measured is no recognition of new ones."
        )
    return RetrievalData(**parts, notes=tuple(notes), files=tuple(sources))


def _source_files(root, part, files, images):
    for path, identity, pixels in zip(files.paths, files.ids, images):
        digest = hashlib.blake2b(pixels, digest_size=16).hexdigest()
        name = path.relative_to(root).as_posix()
        yield SourceFile(part, str(identity), name, digest)


def _digits(folder, image_shape) -> RetrievalData:
    for given, value in (("folder", folder), ("image_shape", image_shape)):
        if value is not None:
            raise ValueError(
                f"'digits' come with scikit-learn, 8 x 8 pixels, so that "
                f"`{given}` has no meaning. Received: {value!r}"
            )
    train, test = digits.read(None)
    images = np.concatenate([train.images, test.images])
    ids = np.concatenate([train.labels, test.labels]).astype(np.int64)
    # A camera for each image: it alone is taken out where it is the query.
    everything = LabelledImages(images, ids, np.arange(len(ids)))
    judged = everything.take(ids >= _FIRST_JUDGED_DIGIT)
    return RetrievalData(
        everything.take(ids < _FIRST_JUDGED_DIGIT), judged, judged
    )


def _read(files: ImageFiles, image_shape, problems) -> LabelledImages:
    # Here, for digits and what is trained on them need no Pillow.
    from keras_graft.recognition.pictures import read_pictures

    images = read_pictures(files.paths, tuple(image_shape), problems)
    return LabelledImages(images, files.ids, files.cameras)


def join(*parts: LabelledImages) -> LabelledImages:
    """Several training sets as one; no identity or camera is of two of them.

    Args:
        parts: Of the same image shape.

    Returns:
        A `LabelledImages` with identities and cameras counted from 0.
    """
    ids, cameras = [], []
    for part in parts:
        for numbers, before in ((part.ids, ids), (part.cameras, cameras)):
            start = before[-1].max() + 1 if before else 0
            inverse = np.unique(numbers, return_inverse=True)[1]
            before.append(inverse.astype(np.int64) + start)
    return LabelledImages(
        np.concatenate([part.images for part in parts]),
        np.concatenate(ids),
        np.concatenate(cameras),
    )


def hold_out_identities(
    train: LabelledImages, fraction: float, seed: int = 0
) -> tuple[LabelledImages, LabelledImages, LabelledImages]:
    """Cuts identities from a training set to choose a network by.

    Args:
        train: The training set.
        fraction: Share of its identities, in (0, 1).
        seed: Seed of the draw of identities and of one query for each.

    Returns:
        `(train, query, gallery)`.

    Raises:
        ValueError: If the share is fewer than two identities or leaves fewer
            than two.
    """
    out = hold_out(train.ids, train.cameras, fraction, seed)
    held = train.take(out)
    is_query = draw_queries(held.ids, held.cameras, seed)
    return train.take(~out), held.take(is_query), held.take(~is_query)
