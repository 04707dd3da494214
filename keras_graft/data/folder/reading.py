"""Images as they are stored, as the splits of a run."""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_graft.data.division import divide
from keras_graft.data.folder import examination
from keras_graft.data.folder import kept_images
from keras_graft.data.folder.file_images import FileImages
from keras_graft.data.folder.file_images import ImageStore
from keras_graft.data.folder.image_file import BadImageError
from keras_graft.data.folder.layout import ImageFile
from keras_graft.data.folder.layout import Layout
from keras_graft.data.folder.layout import say_passed_over
from keras_graft.data.splits import SourceFile
from keras_graft.data.splits import Split
from keras_graft.data.splits import Splits
from keras_graft.data.splits import statistics_of_sums

# What networks for photographs are made for.
LARGEST_SIDE = 224
# Images of which a message names the first.
_NAMED = 5


def read_images(
    layout: Layout,
    sources: Mapping[str, Any],
    *,
    refuse: Callable[[Layout], None],
    image_size: int | None = None,
    resize: str = "crop",
    bad_images: str = "refuse",
    cache: str = "auto",
    cache_dir: str | None = None,
    whole: bool = False,
    train_examples: int | None = None,
    validation_fraction: float = 0.1,
    seed: int = 0,
) -> Splits:
    """Looks at every image, and divides those that can be used.

    Args:
        layout: Which images there are.
        sources: By their names: paths, or what has `read()` and gives bytes.
        refuse: Raises a ValueError if nothing can be learned from a layout.
        image_size: Pixels at a side. None: the median of the images' shorter
            sides, 224 at most.
        resize: One of `names.RESIZES`: how images are made square.
        bad_images: One of `names.BAD_IMAGES`: what to do if some of them
            cannot be used.
        cache: One of `names.CACHES`: where decoded images are kept. `"auto"`:
            in memory up to a quarter of it, else on the disk up to a half of
            what is free, else not at all.
        cache_dir: Folder of the disk, where no file is to be seen. None:
            where the system has its temporary files.
        whole: Whether parts of the images will be asked for, as
            `augment="resized_crop"` does.
        train_examples: As of `splits.load`.
        validation_fraction: Likewise.
        seed: Likewise; the test split too is drawn by it where there is
            none.

    Raises:
        ValueError: If the images cannot be used.
    """
    notes = [say_passed_over(layout.passed_over).capitalize()]
    found = examination.sizes([sources[f.name] for f in layout.files])
    errors = _errors(layout.files, found)
    sizes = [size for size in found if not isinstance(size, BadImageError)]
    layout = _without(layout, errors)
    store = ImageStore(image_size or _usual_side(sizes), resize, whole)
    keeper, where = kept_images.choose(
        cache, sum(map(store.bytes_of, sizes)), cache_dir
    )
    digests, sums = [], []
    usable = [sources[file.name] for file in layout.files]
    for file, found in zip(
        layout.files, examination.examine(usable, store), strict=True
    ):
        if isinstance(found, BadImageError):
            errors[file.name] = str(found)
            continue
        digests.append(found.digest)
        sums.append(found.sums)
        if keeper is not None and not _keeps(keeper, found.kept, cache):
            keeper, where = None, "The disk is full: images are not kept."
    layout = _without(layout, errors)
    if errors:
        notes.append(_refuse_or_skip(layout.root, errors, bad_images))
    refuse(layout)
    store.fill([sources[file.name] for file in layout.files], keeper)
    position = {name: i for i, name in enumerate(layout.class_names)}
    labels = np.array([position[f.class_name] for f in layout.files], np.int32)
    division = divide(
        str(layout.root),
        [file.split for file in layout.files],
        layout.class_names,
        labels,
        train_examples=train_examples,
        validation_fraction=validation_fraction,
        seed=seed,
    )
    names = division.names(len(labels))
    notes += [*division.notes, _twins(layout.files, digests, names), where]
    everything = Split(
        FileImages(store, np.arange(len(labels)), digests), labels
    )
    mean, std = statistics_of_sums(
        *np.sum([sums[row] for row in division.train], axis=0),
        len(division.train) * store.side**2,
    )
    return Splits(
        name=layout.root.name,
        train=everything.take(division.train),
        validation=(
            None
            if division.validation is None
            else everything.take(division.validation)
        ),
        test=everything.take(division.test),
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


def _keeps(keeper, image, cache):
    """Keeps an image; returns whether there was room, where that is asked."""
    try:
        keeper.add(image)
    except OSError as error:
        if cache == "auto":
            return False
        raise ValueError(
            f"The decoded images cannot be kept on the disk: {error}. Make "
            "room, or give --cache=none."
        ) from error
    return True


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


def _refuse_or_skip(root: Any, errors: dict[str, str], bad_images: str) -> str:
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
