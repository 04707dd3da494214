"""Files of images with their identity and camera, and what is wrong there."""

import dataclasses
import pathlib
from collections.abc import Callable
from collections.abc import Iterable

import numpy as np

from keras_graft.data.image_names import is_image_name

# Of each kind of problem in a message.
_NAMED = 20


@dataclasses.dataclass(frozen=True, eq=False)
class ImageFiles:
    """Files with labels.

    Attributes:
        paths: Of the files.
        ids: Identities, int64, shape [files].
        cameras: int64, shape [files].
    """

    paths: tuple[pathlib.Path, ...]
    ids: np.ndarray
    cameras: np.ndarray

    @classmethod
    def of(cls, rows: Iterable[tuple[pathlib.Path, int, int]]) -> "ImageFiles":
        """From rows of path, identity and camera."""
        rows = list(rows)
        numbers = np.array([row[1:] for row in rows], np.int64).reshape(-1, 2)
        return cls(tuple(row[0] for row in rows), numbers[:, 0], numbers[:, 1])

    def __len__(self) -> int:
        return len(self.paths)

    def take(self, rows: np.ndarray) -> "ImageFiles":
        """The files at `rows` (int, shape [m])."""
        return ImageFiles(
            tuple(self.paths[row] for row in rows),
            self.ids[rows],
            self.cameras[rows],
        )


class Problems:
    """What is wrong with the files of a dataset, all in one message.

    Args:
        root: The dataset's folder; files are named below it.
    """

    def __init__(self, root: pathlib.Path):
        self._root = root
        self._found: dict[str, list[str]] = {}

    def add(self, kind: str, path: pathlib.Path, why: str = "") -> None:
        """Notes a problem.

        Args:
            kind: What is wrong and how to mend it, for all files of the kind.
            path: The file.
            why: What is wrong with this one.
        """
        name = path
        if path.is_relative_to(self._root):
            name = path.relative_to(self._root)
        self._found.setdefault(kind, []).append(
            f"{name}: {why}" if why else f"{name}"
        )

    def refuse(self) -> None:
        """Ends here if a problem was noted.

        Raises:
            ValueError: With all of them.
        """
        if not self._found:
            return
        lines = [f"{self._root} cannot be used as it is."]
        for kind, files in self._found.items():
            lines.append(f"{len(files)} {kind}:")
            lines += [f"  {file}" for file in files[:_NAMED]]
            if len(files) > _NAMED:
                lines.append(f"  and {len(files) - _NAMED} more")
        lines.append("Mend these files, or take them out of the folder.")
        raise ValueError("\n".join(lines))


def images_in(folder: pathlib.Path) -> list[pathlib.Path]:
    """The files of a folder that are images by their names, sorted."""
    return sorted(
        path
        for path in folder.iterdir()
        if is_image_name(path.name) and not path.is_dir()
    )


def labelled_by_name(
    folder: pathlib.Path,
    label_of: Callable[[str], tuple[int, int] | str],
    problems: Problems,
) -> ImageFiles:
    """Reads identities and cameras from the names of a folder's images.

    Args:
        folder: Where the images are.
        label_of: From a name to identity and camera, or to what is wrong
            with it.
        problems: Takes the misnamed files.
    """
    rows = []
    for path in images_in(folder):
        label = label_of(path.name)
        if isinstance(label, str):
            problems.add("misnamed files", path, label)
        else:
            rows.append((path, *label))
    return ImageFiles.of(rows)
