"""One job at a time in a run directory."""

import contextlib
import fcntl
import os
import pathlib
import socket

from keras_graft.runs.exit_codes import RunError


class DirectoryLock:
    """Holds a folder for this process; a context manager.

    The system drops the lock of a process that dies, however it dies, so
    that a stale file never stands in the way. The file names host and
    process for the message that another job gets.

    Args:
        directory: An existing folder.

    Raises:
        RunError: On entry, if another job holds the folder.
    """

    def __init__(self, directory: pathlib.Path):
        self._path = directory / ".lock"
        self._file = None

    def __enter__(self):
        while True:
            file = open(self._path, "a+", encoding="utf-8")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                file.seek(0)
                holder = file.read().strip()
                file.close()
                raise RunError(
                    f"Another job trains in {self._path.parent} ({holder}). "
                    "Wait for it, or give another --workdir."
                ) from error
            except OSError as error:
                print(
                    f"Two jobs in {self._path.parent} would not notice each "
                    f"other: this file system has no locks ({error})."
                )
            # Its holder may have removed it between opening and locking.
            if _is_same_file(file, self._path):
                break
            file.close()
        file.truncate(0)
        file.write(f"host {socket.gethostname()}, process {os.getpid()}\n")
        file.flush()
        self._file = file
        return self

    def __exit__(self, *error):
        self._path.unlink(missing_ok=True)
        self._file.close()
        self._file = None


def refuse_locked(directory: pathlib.Path) -> None:
    """Refuses a folder that another job holds, without holding it.

    Args:
        directory: A folder, which need not exist.

    Raises:
        RunError: If another job holds it.
    """
    if (directory / ".lock").exists():
        with DirectoryLock(directory):
            pass


def _is_same_file(file, path):
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    return False
