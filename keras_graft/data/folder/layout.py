"""Which images a folder holds, of which class and which split.

Either a folder a class, or folders `train`, `val` and `test` above them.
Nothing is opened here: a file is an image by its name.
"""

import collections
import dataclasses
import os
import pathlib
import unicodedata
from collections.abc import Iterator

from keras_graft.data.image_names import SUFFIXES
from keras_graft.data.image_names import is_hidden
from keras_graft.data.image_names import is_image_name

_SPLIT_NAMES = {
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
_SPLIT_OF = {
    name: split for split, names in _SPLIT_NAMES.items() for name in names
}


@dataclasses.dataclass(frozen=True)
class ImageFile:
    """A file that is an image by its name.

    Attributes:
        split: `"train"`, `"validation"`, `"test"`, or None where the folder
            leaves the splits open.
        class_name: Name of its class.
        name: Its path below the folder, with `/` between folders.
    """

    split: str | None
    class_name: str
    name: str


@dataclasses.dataclass(frozen=True)
class Layout:
    """What a folder holds.

    Attributes:
        root: The folder.
        files: The images, in the order of their names.
        class_names: The classes in the order of their names; a position is
            a label.
        passed_over: How many other files there are, by their suffix.
    """

    root: pathlib.Path
    files: tuple[ImageFile, ...]
    class_names: tuple[str, ...]
    passed_over: dict[str, int]

    @property
    def splits(self) -> set[str]:
        """The splits that the folder itself makes."""
        return {file.split for file in self.files if file.split is not None}


def look_through(root: pathlib.Path) -> Layout:
    """Looks through a folder.

    Args:
        root: The folder, which exists.

    Raises:
        ValueError: If it is laid out in another way, or has too little in it
            to learn from.
        OSError: If it cannot be read.
    """
    walk = _Walk(root)
    folders = walk.folders_of(root)
    by_split = _split_folders(root, folders, walk)
    files, class_names = [], set()
    if by_split is None:
        for folder in folders:
            class_names.add(_normal(folder.name))
            files += walk.images_of_class(folder, None)
    else:
        for split, folder in by_split.items():
            for inner in walk.folders_of(folder):
                class_names.add(_normal(inner.name))
                files += walk.images_of_class(inner, split)
    layout = Layout(
        root,
        tuple(files),
        tuple(sorted(class_names)),
        dict(walk.passed_over.most_common()),
    )
    refuse_useless(layout)
    return layout


def refuse_useless(layout: Layout) -> None:
    """Refuses classes and splits from which nothing can be learned.

    Args:
        layout: What a folder holds, or what of it can be used.

    Raises:
        ValueError: If it has fewer than two classes, a class without images,
            or one without images to train on.
    """
    root, names = layout.root, layout.class_names
    passed = _passed_over(layout)
    if len(names) < 2:
        found = f"one class, {names[0]!r}" if names else "no class"
        raise ValueError(
            f"{root} holds {found}, of {len(layout.files)} images{passed}. It "
            "must hold a folder of images for each of two classes or more, or "
            "such folders below train/, and val/ and test/ if you have them. "
            "The name of a folder is the name of its class."
        )
    counts = collections.Counter(file.class_name for file in layout.files)
    empty = [name for name in names if not counts[name]]
    if empty:
        raise ValueError(
            f"{root} has no image of {_quoted(empty)}{passed}. Every class "
            "needs images, which are files that end with "
            f"{', '.join(SUFFIXES)}: add some, or remove the folder."
        )
    trained = {f.class_name for f in layout.files if f.split in (None, "train")}
    untrained = [name for name in names if name not in trained]
    if untrained:
        raise ValueError(
            f"{root} has images of {_quoted(untrained)} to test on, but none "
            "below train/. Every class needs images to train on: add some, or "
            "remove the class."
        )


def _quoted(names: list[str]) -> str:
    return ", ".join(repr(name) for name in names)


def _passed_over(layout: Layout) -> str:
    text = say_passed_over(layout.passed_over)
    return f" ({text})" if text else ""


def say_passed_over(passed_over: dict[str, int]) -> str:
    """Says how many files are not read; empty where there are none."""
    if not passed_over:
        return ""
    total = sum(passed_over.values())
    kinds = ", ".join(f"{n} {kind}" for kind, n in passed_over.items())
    return f"passed over {total} files: {kinds}"


def _normal(name: str) -> str:
    # A Mac writes accents apart from their letters; elsewhere the same class
    # may be written with both in one.
    return unicodedata.normalize("NFC", name)


def _split_folders(
    root: pathlib.Path, folders: list[pathlib.Path], walk: "_Walk"
) -> dict[str, pathlib.Path] | None:
    """The folders of the splits, or None where folders are classes."""
    splits: dict[str, pathlib.Path] = {}
    others = []
    for folder in folders:
        split = _SPLIT_OF.get(folder.name.lower())
        if split is None:
            others.append(folder.name)
        elif split in splits:
            raise ValueError(
                f"{root} has {splits[split].name}/ and {folder.name}/, which "
                "mean the same split. Keep one of them."
            )
        else:
            splits[split] = folder
    # "train" may be a class, beside "bus": there are images in it.
    if not splits or any(walk.has_images(f) for f in splits.values()):
        return None
    if "train" not in splits or others:
        found = f"but also {_quoted(others)}" if others else "but no train/"
        names = "/, ".join(folder.name for folder in splits.values())
        raise ValueError(
            f"{root} has folders of splits ({names}/), {found}. Let it hold "
            "train/, and val/ and test/ if you have them, with a folder for "
            "each class in them; or nothing but a folder for each class."
        )
    return splits


class _Walk:
    """Goes through a folder, follows links, counts what is no image."""

    def __init__(self, root: pathlib.Path):
        self._root = root
        self.passed_over: collections.Counter[str] = collections.Counter()

    def folders_of(self, folder: pathlib.Path) -> list[pathlib.Path]:
        """The folders in a folder by name; counts the files beside them."""
        found = []
        for entry in _entries(folder):
            if is_hidden(entry.name) or not entry.is_dir():
                self._pass_over(entry, "beside the class folders")
            else:
                found.append(folder / entry.name)
        return found

    def has_images(self, folder: pathlib.Path) -> bool:
        """Whether there are images in a folder itself."""
        return any(_is_image(entry) for entry in _entries(folder))

    def images_of_class(
        self, folder: pathlib.Path, split: str | None
    ) -> Iterator[ImageFile]:
        """The images of a class, in the folders below it too."""
        class_name = _normal(folder.name)
        for path in self._images(folder, [os.path.realpath(folder)]):
            name = path.relative_to(self._root).as_posix()
            yield ImageFile(split, class_name, name)

    def _images(self, folder, above):
        for entry in _entries(folder):
            if is_hidden(entry.name):
                self._pass_over(entry, "")
            elif entry.is_dir():
                real = os.path.realpath(entry.path)
                # A link to a folder above it would have no end.
                if real not in above:
                    yield from self._images(folder / entry.name, [*above, real])
            elif _is_image(entry):
                yield folder / entry.name
            else:
                self._pass_over(entry, "")

    def _pass_over(self, entry, where):
        if entry.is_dir():
            return
        if is_hidden(entry.name):
            kind = "hidden"
        elif _is_image(entry):
            kind = where
        else:
            suffix = os.path.splitext(entry.name)[1].lower()
            kind = suffix or "without a suffix"
        self.passed_over[kind] += 1


def _entries(folder: pathlib.Path) -> list[os.DirEntry]:
    with os.scandir(folder) as entries:
        return sorted(entries, key=lambda entry: entry.name)


def _is_image(entry: os.DirEntry) -> bool:
    return is_image_name(entry.name) and not entry.is_dir()
