"""Images of files, decoded when they are asked for."""

import concurrent.futures
import os
import pathlib
import zlib
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from keras_graft.data.folder.image_file import BadImageError
from keras_graft.data.folder.image_file import crop_to
from keras_graft.data.folder.image_file import fit_to
from keras_graft.data.folder.image_file import read_image
from keras_graft.data.folder.image_file import shift
from keras_graft.data.folder.image_file import shrink


class ImageStore:
    """The images of a folder.

    What comes out does not depend on what is kept of them.

    Args:
        side: Pixels at a side of the squares that come out.
        resize: One of `names.RESIZES`.
        whole: Whether parts of the images are asked for: else nothing is
            kept beside the squares.
    """

    def __init__(self, side: int, resize: str, whole: bool):
        self.side = side
        self._resize = resize
        self._whole = whole
        self._paths: list[pathlib.Path] = []
        self._keeper: Any = None
        self._threads: Any = None

    def fill(self, paths: Sequence[pathlib.Path], keeper: Any) -> None:
        """Says which files there are.

        Args:
            paths: Files that `decode` can read.
            keeper: Holds what `decode` returned of each of them; or None.
        """
        self._paths = list(paths)
        self._keeper = keeper

    def bytes_of(self, size: tuple[int, int]) -> int:
        """Bytes of what is kept of an image of that width and height."""
        if not self._whole:
            return 3 * self.side**2
        shorter = min(size)
        share = min(1.0, 2 * self.side / shorter)
        return round(3 * size[0] * size[1] * share**2)

    def decode(self, path: pathlib.Path) -> Image.Image:
        """What is made of a file before it is resized, in mode RGB."""
        image = read_image(path, self.side)
        # Twice the size is all that a part of it needs.
        return shrink(image, 2 * self.side) if self._whole else image

    def to_keep(self, image: Image.Image) -> np.ndarray:
        """What is kept of what `decode` returned."""
        return np.asarray(image) if self._whole else self.square_of(image)

    def square_of(self, image: Image.Image) -> np.ndarray:
        """What is seen of what `decode` returned, when all is seen."""
        return fit_to(image, self.side, self._resize)

    def squares(self, rows: Sequence[int]) -> np.ndarray:
        """The images at these positions, uint8, [n, side, side, 3]."""
        found = np.empty((len(rows), self.side, self.side, 3), np.uint8)

        def fill(place):
            found[place] = self._square(int(rows[place]))

        self._for_each(fill, len(rows))
        return found

    def parts(self, rows: Sequence[int], draws: np.ndarray) -> np.ndarray:
        """Random parts of images, each image decoded once.

        Args:
            rows: Positions, n of them.
            draws: Shape [views, n, 5]; see `crop_to`.

        Returns:
            uint8, shape [views, n, side, side, 3].
        """
        shape = (len(draws), len(rows), self.side, self.side, 3)
        found = np.empty(shape, np.uint8)

        def fill(place):
            image = self._image(int(rows[place]))
            for view, drawn in enumerate(draws[:, place]):
                found[view, place] = crop_to(image, drawn, self.side)

        self._for_each(fill, len(rows))
        return found

    def shifted(
        self,
        rows: Sequence[int],
        tops: np.ndarray,
        lefts: np.ndarray,
        flips: np.ndarray,
    ) -> np.ndarray:
        """Images padded, cropped and mirrored, each image decoded once.

        Args:
            rows: Positions, n of them.
            tops: Shape [views, n]; see `augment.crop_flip`.
            lefts: Likewise.
            flips: Likewise.

        Returns:
            uint8, shape [views, n, side, side, 3].
        """
        shape = (len(tops), len(rows), self.side, self.side, 3)
        found = np.empty(shape, np.uint8)

        def fill(place):
            square = self._square(int(rows[place]))
            for view in range(len(tops)):
                drawn = (tops[view, place], lefts[view, place])
                shift(square, *drawn, flips[view, place], found[view, place])

        self._for_each(fill, len(rows))
        return found

    def _square(self, row):
        if self._keeper is not None and not self._whole:
            return self._keeper.get(row)
        return self.square_of(self._image(row))

    def _image(self, row):
        if self._keeper is not None:
            return Image.fromarray(self._keeper.get(row))
        path = self._paths[row]
        try:
            return self.decode(path)
        except BadImageError as error:
            raise BadImageError(f"{path}: {error}") from error

    def _for_each(self, work: Callable, count: int) -> None:
        if self._threads is None:
            # Pillow lets other threads run while it decodes and resizes.
            self._threads = concurrent.futures.ThreadPoolExecutor(
                os.cpu_count()
            )
        # The list waits for all, and raises what one of them raised.
        list(self._threads.map(work, range(count)))


class FileImages:
    """Some images of a store, as an array of squares.

    `images[2]`, `images[:8]` and `images[[3, 1]]` are NumPy arrays, read when
    they are asked for; `take` reads nothing.

    Args:
        store: The images.
        rows: Positions in it, int, shape [n].
        digests: Of the images at these positions.
    """

    dtype = np.dtype(np.uint8)
    ndim = 4

    def __init__(
        self, store: ImageStore, rows: np.ndarray, digests: Sequence[str]
    ):
        self._store = store
        self._rows = rows
        self._digests = digests
        self.shape = (len(rows), store.side, store.side, 3)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> np.ndarray:
        rows = self._rows[index]
        if rows.ndim == 0:
            return self._store.squares([rows])[0]
        return self._store.squares(rows)

    def parts(self, indices: np.ndarray, *draws: np.ndarray) -> np.ndarray:
        """Random parts of images; see `ImageStore.parts`."""
        return self._store.parts(self._rows[indices], *draws)

    def shifted(self, indices: np.ndarray, *draws: np.ndarray) -> np.ndarray:
        """Images cropped and mirrored; see `ImageStore.shifted`."""
        return self._store.shifted(self._rows[indices], *draws)

    def take(self, indices: np.ndarray, axis: int = 0) -> "FileImages":
        """Some of the images; `axis` is as of NumPy's arrays, and 0."""
        del axis  # unused
        digests = [self._digests[i] for i in indices]
        return FileImages(self._store, self._rows[indices], digests)

    def checksum(self) -> int:
        """A number that other images have not."""
        return zlib.crc32(" ".join(self._digests).encode())
