"""Decoded images that are kept, in memory or in a file, or not at all."""

import math
import os
import pathlib
import shutil
import tempfile
import threading
import weakref
from typing import Any

import numpy as np

# Of the machine's memory, and of what is free on the disk, for `auto`.
MEMORY_SHARE = 0.25
DISK_SHARE = 0.5
_CGROUP = pathlib.Path("/sys/fs/cgroup/memory.max")
# Where the system does not say: what small machines have.
_UNKNOWN_MEMORY = 4 * 2**30


class InMemory:
    """Images in memory, by their position."""

    def __init__(self):
        self._images: list[np.ndarray] = []

    def add(self, image: np.ndarray) -> None:
        """Appends an image, uint8 of shape [height, width, 3]."""
        self._images.append(image)

    def get(self, row: int) -> np.ndarray:
        """The image at a position."""
        return self._images[row]


class OnDisk:
    """Images in a file that is gone when the process is.

    Args:
        folder: Where the file is made; it has no name there.

    Raises:
        OSError: If it cannot be made.
    """

    def __init__(self, folder: str | os.PathLike | None):
        self._file = tempfile.TemporaryFile(dir=folder, prefix=".keras_graft-")
        weakref.finalize(self, self._file.close)
        self._places: list[tuple[int, tuple[int, ...]]] = []
        self._end = 0
        self._lock = threading.Lock()

    def add(self, image: np.ndarray) -> None:
        """Appends an image, uint8 of shape [height, width, 3].

        Raises:
            OSError: If the disk is full.
        """
        self._places.append((self._end, image.shape))
        self._file.write(np.ascontiguousarray(image).data)
        self._file.flush()
        self._end += image.size

    def get(self, row: int) -> np.ndarray:
        """The image at a position."""
        start, shape = self._places[row]
        # Several threads read, and a file has one place.
        with self._lock:
            self._file.seek(start)
            read = self._file.read(math.prod(shape))
        return np.frombuffer(read, np.uint8).reshape(shape)


def choose(
    cache: str, num_bytes: int, folder: str | os.PathLike | None
) -> tuple[Any, str]:
    """Decides where decoded images are kept.

    Args:
        cache: One of `names.CACHES`.
        num_bytes: Of all of them.
        folder: Where a file of them may be; None: where the system has its
            temporary files.

    Returns:
        `(keeper, note)`: an `InMemory`, an `OnDisk` or None, and a sentence
        that says which.

    Raises:
        ValueError: If the disk that is asked for has no room.
    """
    size = f"{num_bytes / 2**20:,.0f} MiB"
    folder = folder or tempfile.gettempdir()
    if cache == "auto":
        cache = _fitting(num_bytes, folder)
    if cache == "memory":
        return InMemory(), f"Decoded images are kept in memory: {size}."
    if cache == "none":
        return None, f"Decoded images are not kept: they would take {size}."
    try:
        free = shutil.disk_usage(folder).free
        if free < num_bytes:
            raise OSError(f"{free / 2**20:,.0f} MiB are free")
        keeper = OnDisk(folder)
    except OSError as error:
        raise ValueError(
            f"The decoded images take {size}, which {folder} cannot hold: "
            f"{error}. Make room, or give --cache=none."
        ) from error
    return keeper, f"Decoded images are kept in a file below {folder}: {size}."


def _fitting(num_bytes: int, folder: str | os.PathLike) -> str:
    if num_bytes <= MEMORY_SHARE * machine_memory():
        return "memory"
    if num_bytes <= DISK_SHARE * shutil.disk_usage(folder).free:
        return "disk"
    return "none"


def machine_memory() -> int:
    """Bytes of memory that this process may have at most."""
    found = []
    try:
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):
        pass  # Not on every system.
    try:
        found.append(int(_CGROUP.read_text()))
    except (OSError, ValueError):
        pass  # No such limit.
    return min(found, default=_UNKNOWN_MEMORY)
