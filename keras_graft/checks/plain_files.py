"""Reads files that may be something else than a file.

Opening a named pipe waits for somebody to write into it, maybe forever; a
folder, a device or a socket under a file's name is no file either.
"""

import errno
import os
import pathlib
import stat

_KINDS = {
    stat.S_IFREG: "a plain file",
    stat.S_IFLNK: "a link",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
}


class NotAFileError(OSError):
    """Something that has a file's name is none."""


def kind_of(mode: int) -> str:
    """What a file is, in words.

    Args:
        mode: `st_mode` of `os.stat` or `os.lstat`.
    """
    return _KINDS.get(stat.S_IFMT(mode), "a device")


def other_kind(path: str | os.PathLike) -> str | None:
    """What lies under a file's name, if it is no file.

    Args:
        path: Where the file is, or a link to it.

    Returns:
        `"a folder"`, `"a named pipe"`, ...; None for a file, and where there
        is nothing or nothing that can be looked at.
    """
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return None
    return None if stat.S_ISREG(mode) else kind_of(mode)


def refuse_other_kind(path: str | os.PathLike) -> None:
    """Refuses what has a file's name and is none, before it is opened.

    Args:
        path: The file, or a link to it; it need not be there.

    Raises:
        NotAFileError: If it is a folder, a named pipe, ...
    """
    kind = other_kind(path)
    if kind is not None:
        raise NotAFileError(
            errno.EINVAL, f"it is {kind}, not a file", str(path)
        )


def read_plain(path: pathlib.Path) -> bytes:
    """Reads a file.

    Args:
        path: The file, or a link to it.

    Raises:
        NotAFileError: If it is no file, before it is opened.
        OSError: If it cannot be read.
    """
    refuse_other_kind(path)
    return path.read_bytes()
