"""A folder of images as the splits of a run."""

import pathlib
from collections.abc import Sequence

import numpy as np

from keras_graft.data.folder import examination
from keras_graft.data.folder.division import divide
from keras_graft.data.folder.image_file import BadImageError
from keras_graft.data.folder.layout import ImageFile
from keras_graft.data.folder.layout import Layout
from keras_graft.data.folder.layout import look_through
from keras_graft.data.folder.layout import refuse_useless
from keras_graft.data.folder.layout import say_passed_over
from keras_graft.data.names import BAD_IMAGES
from keras_graft.data.names import RESIZES
from keras_graft.data.splits import SourceFile
from keras_graft.data.splits import Split
from keras_graft.data.splits import Splits
from keras_graft.data.tfds_source import DataUnavailableError

# What networks for photographs are made for.
LARGEST_SIDE = 224
# Images of which a message names the first.
_NAMED = 5


def read(
    path: str,
    *,
    image_size: int | None = None,
    resize: str = "crop",
    bad_images: str = "refuse",
    train_examples: int | None = None,
    validation_fraction: float = 0.1,
    seed: int = 0,
) -> Splits:
    """Reads a folder of images, one folder a class.

    Args:
        path: The folder; `layout` says what may be in it.
        image_size: Pixels at a side. None: the median of the images' shorter
            sides, 224 at most.
        resize: One of `names.RESIZES`: how images are made square.
        bad_images: One of `names.BAD_IMAGES`: what becomes of a folder in
            which files cannot be used.
        train_examples: As of `splits.load`.
        validation_fraction: Likewise.
        seed: Likewise; the test split too is drawn by it where the folder has
            none.

    Raises:
        ValueError: If the folder or an argument cannot be used.
        DataUnavailableError: If there is no such folder.
    """
    _check_member("resize", resize, RESIZES)
    _check_member("bad_images", bad_images, BAD_IMAGES)
    root = pathlib.Path(path)
    try:
        layout = look_through(root)
    except OSError as error:
        raise DataUnavailableError(
            f"{error.filename or path} cannot be read: {error.strerror}. "
            "Name a folder with one folder of images for each class, or with "
            "train/, val/ and test/ above them."
        ) from error
    notes = [say_passed_over(layout.passed_over).capitalize()]
    found = examination.sizes([root / file.name for file in layout.files])
    errors = _errors(layout.files, found)
    sizes = [size for size in found if not isinstance(size, BadImageError)]
    layout = _without(layout, errors)
    side = image_size or _usual_side(sizes)
    images = np.empty((len(layout.files), side, side, 3), np.uint8)
    digests = []
    paths = [root / file.name for file in layout.files]
    for i, read in enumerate(examination.pixels(paths, side, resize)):
        if isinstance(read, BadImageError):
            errors[layout.files[i].name] = str(read)
        else:
            images[len(digests)], digest = read
            digests.append(digest)
    images = images[: len(digests)]
    layout = _without(layout, errors)
    if errors:
        notes.append(_refuse_or_skip(root, errors, bad_images))
        refuse_useless(layout)
    position = {name: i for i, name in enumerate(layout.class_names)}
    labels = np.array([position[f.class_name] for f in layout.files], np.int32)
    division = divide(
        layout,
        labels,
        train_examples=train_examples,
        validation_fraction=validation_fraction,
        seed=seed,
    )
    names = division.names(len(labels))
    notes += [*division.notes, _twins(layout.files, digests, names)]
    train = Split(images[division.train], labels[division.train])
    mean, std = pixel_statistics(train.images)
    return Splits(
        name=root.name,
        train=train,
        validation=(
            None
            if division.validation is None
            else Split(images[division.validation], labels[division.validation])
        ),
        test=Split(images[division.test], labels[division.test]),
        num_classes=len(layout.class_names),
        pixel_mean=mean,
        pixel_std=std,
        class_names=layout.class_names,
        notes=tuple(filter(None, notes)),
        files=tuple(
            SourceFile(split, file.class_name, file.name, digest)
            for split, file, digest in zip(
                names, layout.files, digests, strict=True
            )
        ),
    )


def pixel_statistics(
    images: np.ndarray,
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel, in pixel units.

    Args:
        images: uint8, shape [n, height, width, channels].

    Returns:
        Both by channel. The deviation is 1 at least, which equal images have
        not.
    """
    total = np.zeros(images.shape[-1], np.int64)
    squares = np.zeros(images.shape[-1], np.int64)
    for image in images:
        wide = image.astype(np.int64)
        total += wide.sum((0, 1))
        squares += (wide**2).sum((0, 1))
    count = images.size // images.shape[-1]
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - mean**2, 1.0))
    return tuple(mean.tolist()), tuple(std.tolist())


def _check_member(what: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(
            f"{what} must be one of {', '.join(known)}. Received: "
            f"{what}={value!r}"
        )


def _errors(files: Sequence[ImageFile], found: Sequence) -> dict[str, str]:
    return {
        file.name: str(error)
        for file, error in zip(files, found, strict=True)
        if isinstance(error, BadImageError)
    }


def _without(layout: Layout, errors: dict[str, str]) -> Layout:
    files = tuple(f for f in layout.files if f.name not in errors)
    return Layout(layout.root, files, layout.class_names, layout.passed_over)


def _usual_side(sizes: Sequence[tuple[int, int]]) -> int:
    if not sizes:
        return LARGEST_SIDE
    median = int(np.median([min(size) for size in sizes]))
    return min(median, LARGEST_SIDE)


def _refuse_or_skip(
    root: pathlib.Path, errors: dict[str, str], bad_images: str
) -> str:
    lines = "".join(
        f"\n  {root / name}: {reason}" for name, reason in errors.items()
    )
    if bad_images == "refuse":
        raise ValueError(
            f"{len(errors)} images cannot be used:{lines}\nMend or remove "
            "them, or leave them out with --bad_images=skip."
        )
    return f"Left out {len(errors)} images that cannot be used:{lines}"


def _twins(
    files: Sequence[ImageFile], digests: Sequence[str], splits: Sequence[str]
) -> str:
    used = [i for i, split in enumerate(splits) if split != "unused"]
    pairs = examination.twins(
        [files[i].name for i in used],
        [digests[i] for i in used],
        [splits[i] for i in used],
    )
    if not pairs:
        return ""
    named = "".join(f"\n  {one} = {two}" for one, two in pairs[:_NAMED])
    more = len(pairs) - _NAMED
    return (
        f"{len(pairs)} images are in another split too, which makes "
        f"accuracies look better than they are:{named}"
        + (f"\n  and {more} more" if more > 0 else "")
    )
