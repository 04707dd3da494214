"""The images of a run: training, validation and test split of a dataset."""

import dataclasses
import difflib
import importlib
import typing
import zlib

import numpy as np

from keras_graft.data.names import DATASETS
from keras_graft.data.names import IMAGE_SOURCES
from keras_graft.data.names import SOURCES
from keras_graft.data.reading_options import check_reading


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """Images with their labels.

    Args:
        images: uint8, shape [n, height, width, channels], pixels 0 to 255: a
            NumPy array, or something that is indexed like one and reads
            images when they are asked for, as `folder.file_images` has it.
        labels: int32, shape [n], class numbers from 0.

    Raises:
        ValueError: If shapes or dtypes are others, or lengths differ.
    """

    images: typing.Any
    labels: np.ndarray

    def __post_init__(self):
        if self.images.ndim != 4 or self.images.dtype != np.uint8:
            raise ValueError(
                "Images must be uint8 of shape [n, height, width, channels]. "
                f"Received: {self.images.dtype} of shape {self.images.shape}"
            )
        if self.labels.dtype != np.int32:
            raise ValueError(
                f"Labels must be int32. Received: {self.labels.dtype}"
            )
        if self.labels.shape != self.images.shape[:1]:
            raise ValueError(
                "There must be one label to an image. Received: "
                f"{len(self.images)} images, labels of shape "
                f"{self.labels.shape}"
            )

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: np.ndarray) -> "Split":
        """The split of the images at `indices` (int, shape [m])."""
        # Images of files are not read for it.
        images = self.images.take(indices, axis=0)
        return Split(images, self.labels[indices])

    def checksum(self) -> int:
        """A number that other images or labels have not."""
        if isinstance(self.images, np.ndarray):
            images = zlib.crc32(np.ascontiguousarray(self.images))
        else:
            images = self.images.checksum()
        return zlib.crc32(np.ascontiguousarray(self.labels), images)


class SourceFile(typing.NamedTuple):
    """A file that an image was read from.

    Attributes:
        split: `"train"`, `"validation"`, `"test"` or `"unused"`; of
            identities `"train"`, `"query"` or `"gallery"`.
        class_name: Name of its class, or identity.
        name: Its path below the dataset's folder.
        digest: Of its pixels.
    """

    split: str
    class_name: str
    name: str
    digest: str


@dataclasses.dataclass(frozen=True, eq=False)
class Splits:
    """What a run trains, chooses and is measured on.

    Args:
        name: Name of the dataset.
        train: Split to train on.
        validation: Split to choose by, cut from the training images; None
            where the run has none.
        test: The dataset's own test split, whole.
        num_classes: Number of classes.
        pixel_mean: Mean by channel, in pixel units (0 to 255).
        pixel_std: Standard deviation by channel, in pixel units.
        class_names: Name of each class, or None where they have numbers only.
        notes: Sentences for a person about what was read.
        files: The files of a folder of images; empty for other datasets.

    Raises:
        ValueError: If a split is empty or holds a label outside the classes.
    """

    name: str
    train: Split
    validation: Split | None
    test: Split
    num_classes: int
    pixel_mean: tuple[float, ...]
    pixel_std: tuple[float, ...]
    class_names: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()
    files: tuple[SourceFile, ...] = ()

    def __post_init__(self):
        for kind in ("train", "validation", "test"):
            split = getattr(self, kind)
            if split is not None:
                _check_labels(f"{kind} split of {self.name}", split, self)


def _check_labels(what: str, split: Split, splits: Splits) -> None:
    if not len(split):
        raise ValueError(f"The {what} is empty: it needs an image at least.")
    low, high = split.labels.min(), split.labels.max()
    if low < 0 or high >= splits.num_classes:
        raise ValueError(
            f"The {what} must hold labels from 0 to "
            f"{splits.num_classes - 1}. Received: labels from {low} to {high}"
        )


def stratified_draw(
    labels: np.ndarray, count: int, rng: np.random.Generator
) -> np.ndarray:
    """Draws `count` examples, from each class its share.

    Args:
        labels: int, shape [n].
        count: How many to draw, 0 to n.
        rng: Where the choice comes from.

    Returns:
        Sorted positions, int, shape [count]. A class that makes up the share
        s of all labels has floor(s * count) of them, or one more.
    """
    classes, sizes = np.unique(labels, return_counts=True)
    shares = count * sizes / len(labels)
    counts = np.floor(shares).astype(int)
    # Equal claims to a last place go to random classes: by class number, the
    # low ones would always be the larger.
    tie_break = rng.random(len(classes))
    claims = np.lexsort((tie_break, counts - shares))
    counts[claims[: count - counts.sum()]] += 1
    drawn = [
        rng.permutation(np.flatnonzero(labels == label))[:number]
        for label, number in zip(classes, counts)
    ]
    return np.sort(np.concatenate(drawn))


def load(
    name: str,
    data_dir: str | None = None,
    train_examples: int | None = None,
    validation_fraction: float = 0.1,
    seed: int = 0,
    **reading: typing.Any,
) -> Splits:
    """Loads a dataset into memory and cuts a validation split.

    The validation split is cut from the training images, stratified by
    class; the test split is left as it is.

    Args:
        name: One of `names.DATASETS`, `folder:PATH` for a folder of images,
            `npz:PATH` for a file of arrays, or `tfds:NAME` for any dataset of
            TFDS; see `folder`, `npz` and `tfds`.
        data_dir: Folder of the prepared TFDS datasets. None: TFDS' own, which
            is the environment variable TFDS_DATA_DIR or
            ~/tensorflow_datasets. Only datasets of TFDS are read from it.
        train_examples: How many training images to keep, stratified by class
            and drawn before the validation cut. None: all.
        validation_fraction: Share of the kept training images that becomes
            the validation split, 0 <= fraction < 1. 0: no validation split.
        seed: Seed of both draws, 0 or more.
        **reading: For `folder:PATH` and `tfds:NAME`: `image_size`, `resize`,
            `bad_images`, `cache`, `cache_dir` and `whole`, as of
            `folder.reading.read_images`.

    Returns:
        The splits, their images uint8; those of folder:PATH and
        tfds:NAME are read when they are asked for.

    Raises:
        ValueError: If an argument is out of its range.
        DataUnavailableError: If the data is not there and cannot be had.
    """
    source, colon, path = name.partition(":")
    if name not in DATASETS and not (colon and source in SOURCES):
        close = difflib.get_close_matches(name, DATASETS, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ValueError(
            f"Unknown dataset {name!r}.{hint} Known: {', '.join(DATASETS)}, "
            "folder:PATH for a folder of images, npz:PATH for arrays, and "
            "tfds:NAME for a dataset of TFDS"
        )
    # Written so that NaN, which compares false, is refused too.
    if not 0 <= validation_fraction < 1:
        raise ValueError(
            "validation_fraction must be in [0, 1). Received: "
            f"validation_fraction={validation_fraction}"
        )
    if reading and source not in IMAGE_SOURCES:
        raise ValueError(
            f"{', '.join(reading)} can only be given for folder:PATH and "
            f"tfds:NAME, not for {name}."
        )
    check_reading(**reading)
    if colon:
        home = {"folder": "folder.reader"}.get(source, source)
        reader = importlib.import_module(f"keras_graft.data.{home}")
        if source == "tfds":
            reading["data_dir"] = data_dir
        return reader.read(
            path,
            train_examples=train_examples,
            validation_fraction=validation_fraction,
            seed=seed,
            **reading,
        )
    dataset = importlib.import_module(f"keras_graft.data.{name}")
    train, test = dataset.read(data_dir)
    if train_examples is not None:
        train = train.take(
            keep_rows(
                train.labels, train_examples, dataset.NUM_CLASSES, name, seed
            )
        )
    validation = None
    if validation_fraction:
        rest, chosen = cut_rows(train.labels, validation_fraction, seed)
        train, validation = train.take(rest), train.take(chosen)
    return Splits(
        name=name,
        train=train,
        validation=validation,
        test=test,
        num_classes=dataset.NUM_CLASSES,
        pixel_mean=dataset.PIXEL_MEAN,
        pixel_std=dataset.PIXEL_STD,
    )


def pixel_statistics(
    images: np.ndarray,
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel, in pixel units.

    Args:
        images: uint8, shape [n, height, width, channels].

    Returns:
        Both by channel. The deviation is 1 at least, which images of one
        color have not.
    """
    total = np.zeros(images.shape[-1], np.int64)
    squares = np.zeros(images.shape[-1], np.int64)
    for image in images:
        # Whole numbers, so that their order makes no difference.
        wide = image.astype(np.int64)
        total += wide.sum((0, 1))
        squares += (wide**2).sum((0, 1))
    return statistics_of_sums(total, squares, images.size // len(total))


def statistics_of_sums(
    total: np.ndarray, squares: np.ndarray, pixels: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """`pixel_statistics` from sums of pixels and of their squares."""
    mean = total / pixels
    std = np.sqrt(np.maximum(squares / pixels - mean**2, 1.0))
    return tuple(mean.tolist()), tuple(std.tolist())


def keep_rows(
    labels: np.ndarray, count: int, num_classes: int, name: str, seed: int
) -> np.ndarray:
    """Draws the training images that are kept.

    Args:
        labels: Of all of them, int, shape [n].
        count: How many to keep.
        num_classes: Number of classes.
        name: Of the dataset, for the message.
        seed: Seed of the run.

    Returns:
        Sorted positions, int, shape [count].

    Raises:
        ValueError: If there are not that many, or not one for each class.
    """
    if not num_classes <= count <= len(labels):
        raise ValueError(
            f"train_examples must be from {num_classes}, one to a class, to "
            f"{len(labels)}, the training images of {name}. Received: "
            f"train_examples={count}"
        )
    rng = np.random.default_rng([seed, 0])
    return stratified_draw(labels, count, rng)


def cut_rows(
    labels: np.ndarray, fraction: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draws the validation split.

    Args:
        labels: Of the training images, int, shape [n].
        fraction: Share of them, above 0.
        seed: Seed of the run.

    Returns:
        Sorted positions of those that stay and of those that are drawn.

    Raises:
        ValueError: If either would be none.
    """
    count = round(fraction * len(labels))
    if not 0 < count < len(labels):
        raise ValueError(
            f"validation_fraction={fraction} of {len(labels)} training images "
            f"is {count} images, which leaves a split empty. Choose another "
            "fraction, or 0 for no validation split."
        )
    rng = np.random.default_rng([seed, 1])
    chosen = stratified_draw(labels, count, rng)
    return np.setdiff1d(np.arange(len(labels)), chosen), chosen
