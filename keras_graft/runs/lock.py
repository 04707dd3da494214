"""One job at a time in a run directory."""

import contextlib
import os
import pathlib
import re
import socket
import stat

from filelock import lock_descriptor

from keras_graft.checks.plain_files import kind_of
from keras_graft.runs.exit_codes import RunError
from keras_graft.structure.printable import printable

LOCK = ".lock"
# What stands in the file of a lock.
_HOLDER = re.compile(r"host .*, process \d+")
# Neither follows a link nor waits, where the system knows of that.
_CAREFUL = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
# Windows locks the first byte of a held one for reading, too.
_READABLE = 1 if os.name == "nt" else 0


class HeldError(RunError):
    """Another job holds a folder."""


class DirectoryLock:
    """Holds a folder for this process; a context manager.

    The system drops the lock of a process that dies, however it dies, so
    that a stale file never stands in the way. The file names host and
    process for the message that another job gets, and goes at the end; an
    empty one that was there before is locked and left as it is.

    Args:
        directory: An existing folder.

    Raises:
        HeldError: On entry, if another job holds the folder.
        RunError: Likewise, if its file of this name cannot be locked.
    """

    def __init__(self, directory: pathlib.Path):
        self._path = directory / LOCK
        self._file = None
        self._is_ours = False

    def __enter__(self):
        while True:
            file, is_new = self._open()
            try:
                is_held = not lock_descriptor(file.fileno(), blocking=False)
            except OSError as error:
                is_held = False
                print(
                    f"Two jobs in {printable(str(self._path.parent))} would "
                    f"not notice each other: there are no locks here ({error})."
                )
            if is_held:
                holder = _read(file, _READABLE) or "unknown"
                file.close()
                raise HeldError(
                    f"Another job trains in {self._path.parent} ({holder}). "
                    "Wait for it, or give another --workdir."
                )
            # Its holder may have removed it between opening and locking.
            if _is_same_file(file, self._path):
                break
            file.close()
        text = _read(file)
        if text and not _HOLDER.fullmatch(text):
            file.close()
            raise RunError(
                f"{self._path} is no lock of this package: it holds other "
                "text. Move it away, or give another --workdir."
            )
        self._file = file
        self._is_ours = is_new or bool(text)
        if self._is_ours:
            file.seek(0)
            file.truncate()
            file.write(f"host {socket.gethostname()}, process {os.getpid()}\n")
            file.flush()
        return self

    def __exit__(self, *error):
        # Where an open file cannot be removed it is closed first.
        self._unlink()
        self._file.close()
        self._file = None
        if os.name == "nt":
            self._unlink()

    def _unlink(self):
        if self._is_ours:
            with contextlib.suppress(OSError):
                self._path.unlink()

    def _open(self):
        """The file, and whether it was made just now."""
        try:
            try:
                flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
                return _opened(os.open(self._path, flags, 0o666)), True
            except FileExistsError:
                # A link may lead to a file of others, a pipe waits.
                _refuse_other_kinds(self._path)
                flags = os.O_RDWR | os.O_CREAT | _CAREFUL
                return _opened(os.open(self._path, flags, 0o666)), False
        except OSError as error:
            raise RunError(
                f"{self._path} cannot be locked: {error.strerror or error}. It "
                "may be of another user's job. Give another --workdir, or let "
                "this user write the file."
            ) from error


def is_lock(path: pathlib.Path) -> bool:
    """Whether a file is what a process of this package left or holds.

    Args:
        path: Any path.
    """
    with contextlib.suppress(OSError):
        if stat.S_ISREG(os.lstat(path).st_mode):
            with open(path, encoding="utf-8") as file:
                return bool(_HOLDER.fullmatch(_read(file)))
    return False


def refuse_locked(directory: pathlib.Path) -> None:
    """Refuses a folder that another job holds, without holding it.

    Args:
        directory: A folder, which need not exist.

    Raises:
        RunError: If another job holds it.
    """
    if os.path.lexists(directory / LOCK):
        with DirectoryLock(directory):
            pass


def _opened(descriptor):
    return os.fdopen(descriptor, "r+", encoding="utf-8")


def _refuse_other_kinds(path):
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return  # Its holder has just removed it.
    if not stat.S_ISREG(mode):
        raise RunError(
            f"{path} is {kind_of(mode)}, and the lock of a run is a plain "
            "file. Move it away, or give another --workdir."
        )


def _read(file, start=0):
    try:
        file.seek(start)
        return file.read(1000).strip()
    except (OSError, UnicodeDecodeError) as error:
        return f"unknown: {error}"


def _is_same_file(file, path):
    with contextlib.suppress(OSError):
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    return False
