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
from typing import NamedTuple

import numpy as np
from PIL import Image

from keras_graft.data.folder.file_images import ImageStore
from keras_graft.data.folder.image_file import BadImageError
from keras_graft.data.folder.image_file import size_of

# Files that wait for a thread or for their turn.
_AHEAD = 64


def sizes(paths: Sequence[pathlib.Path]) -> list[Any]:
    """The `(width, height)` of each file, or its `BadImageError`."""
    with warnings.catch_warnings():
        # Refused by their size, with a message of ours.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return list(in_threads(_or_error(size_of), paths))


class Examined(NamedTuple):
    """What one look at an image gives.

    Attributes:
        kept: What a store keeps of it.
        digest: Of its pixels: the same for images that look the same.
        sums: int64, shape [2, 3]: sum of the pixels and of their squares, by
            channel.
    """

    kept: np.ndarray
    digest: str
    sums: np.ndarray


def examine(paths: Sequence[pathlib.Path], store: ImageStore) -> Iterator[Any]:
    """Reads files one after the other, several at a time.

    Args:
        paths: Files that have a size.
        store: Where they shall be read from.

    Yields:
        For each file an `Examined` or a `BadImageError`.
    """

    def read(path):
        image = store.decode(path)
        square = store.square_of(image).astype(np.int64)
        sums = np.stack([square.sum((0, 1)), (square**2).sum((0, 1))])
        return Examined(store.to_keep(image), _digest(image), sums)

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
