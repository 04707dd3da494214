"""Every file of a folder, looked at once before anything is trained."""

import collections
import concurrent.futures
import hashlib
import os
import pathlib
import warnings
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from keras_graft.data.folder.image_file import BadImageError
from keras_graft.data.folder.image_file import fit_to
from keras_graft.data.folder.image_file import read_image
from keras_graft.data.folder.image_file import size_of

# Files that wait for a thread or for their turn.
_AHEAD = 64


def sizes(paths: Sequence[pathlib.Path]) -> list[Any]:
    """The `(width, height)` of each file, or its `BadImageError`."""
    with warnings.catch_warnings():
        # Refused by their size, with a message of ours.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return list(in_threads(_or_error(size_of), paths))


def pixels(
    paths: Sequence[pathlib.Path], side: int, resize: str
) -> Iterator[Any]:
    """Reads files one after the other, several at a time.

    Args:
        paths: Files that have a size.
        side: Pixels at a side; see `fit_to`.
        resize: Likewise.

    Yields:
        For each file `(image, digest)` or a `BadImageError`. The image is
        uint8 of shape [side, side, 3]; images with the same pixels, before
        they are resized, have the same digest.
    """

    def read(path):
        image = read_image(path)
        return fit_to(image, side, resize), _digest(image)

    return in_threads(_or_error(read), paths)


def in_threads(work: Callable, items: Iterable) -> Iterator:
    """`map`, several at a time and few ahead: the memory stays bounded."""
    items = iter(items)
    waiting: collections.deque = collections.deque()
    # Pillow lets other threads run while it decodes.
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as threads:
        for item in items:
            waiting.append(threads.submit(work, item))
            if len(waiting) == _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def twins(
    names: Sequence[str], digests: Sequence[str], splits: Sequence[str]
) -> list[tuple[str, str]]:
    """Finds images that are in several splits.

    Args:
        names: Of the images.
        digests: Of their pixels.
        splits: Each one's split.

    Returns:
        `(name, name)` of the first image of a digest and each one of another
        split, each name preceded by its split.
    """
    first: dict[str, tuple[str, str]] = {}
    found = []
    for name, digest, split in zip(names, digests, splits, strict=True):
        other_split, other = first.setdefault(digest, (split, name))
        if other_split != split:
            found.append((f"{other_split} {other}", f"{split} {name}"))
    return found


def _or_error(work):
    def tried(path):
        try:
            return work(path)
        except BadImageError as error:
            return error

    return tried


def _digest(image):
    digest = hashlib.blake2b(repr(image.size).encode(), digest_size=16)
    digest.update(np.asarray(image).data)
    return digest.hexdigest()
