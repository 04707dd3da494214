"""One job at a time in a run directory."""

import contextlib
import os
import pathlib
import re
import socket

from filelock import lock_descriptor

from keras_graft.runs.exit_codes import RunError

# What stands in the file of a lock, or nothing.
_HOLDER = re.compile(r"(host .*, process \d+)?\s*")
# Windows locks the first byte for reading, too.
_READABLE = 1 if os.name == "nt" else 0


class HeldError(RunError):
    """Another job holds a folder."""


class DirectoryLock:
    """Holds a folder for this process; a context manager.

    The system drops the lock of a process that dies, however it dies, so
    that a stale file never stands in the way. The file names host and
    process for the message that another job gets.

    Args:
        directory: An existing folder.

    Raises:
        HeldError: On entry, if another job holds the folder.
        RunError: Likewise, if its file of this name cannot be locked.
    """

    def __init__(self, directory: pathlib.Path):
        self._path = directory / ".lock"
        self._file = None

    def __enter__(self):
        while True:
            file = self._open()
            try:
                is_held = not lock_descriptor(file.fileno(), blocking=False)
            except OSError as error:
                is_held = False
                print(
                    f"Two jobs in {self._path.parent} would not notice each "
                    f"other: there are no locks here ({error})."
                )
            if is_held:
                holder = _read(file)
                file.close()
                raise HeldError(
                    f"Another job trains in {self._path.parent} ({holder}). "
                    "Wait for it, or give another --workdir."
                )
            # Its holder may have removed it between opening and locking.
            if _is_same_file(file, self._path):
                break
            file.close()
        if not _HOLDER.fullmatch(_read(file)):
            file.close()
            raise RunError(
                f"{self._path} is no lock of this package: it holds other "
                "text. Move it away, or give another --workdir."
            )
        file.truncate(0)
        file.write(f"host {socket.gethostname()}, process {os.getpid()}\n")
        file.flush()
        self._file = file
        return self

    def __exit__(self, *error):
        # Where an open file cannot be removed it is closed first.
        with contextlib.suppress(OSError):
            self._path.unlink()
        self._file.close()
        self._file = None
        if os.name == "nt":
            with contextlib.suppress(OSError):
                self._path.unlink()

    def _open(self):
        try:
            return open(self._path, "a+", encoding="utf-8")
        except OSError as error:
            raise RunError(
                f"{self._path} cannot be locked: {error.strerror}. It may be "
                "of another user's job. Give another --workdir, or let this "
                "user write the file."
            ) from error


def refuse_locked(directory: pathlib.Path) -> None:
    """Refuses a folder that another job holds, without holding it.

    Args:
        directory: A folder, which need not exist.

    Raises:
        RunError: If another job holds it.
    """
    if os.path.lexists(directory / ".lock"):
        with DirectoryLock(directory):
            pass


def _read(file):
    try:
        file.seek(_READABLE)
        return file.read(1000).strip()
    except (OSError, UnicodeDecodeError) as error:
        return f"unknown: {error}"


def _is_same_file(file, path):
    with contextlib.suppress(OSError):
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    return False
