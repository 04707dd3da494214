"""What other systems lack: the command is imported, and says what is missing.

A process without the modules and functions that Windows has not stands for
Windows; where it differs in what it does, only it can tell.
"""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]

# What there is on Linux and not on Windows, or not on macOS.
WITHOUT = """
import os, signal, socket, sys
for name in (
    "fcntl", "grp", "pwd", "resource", "termios", "tty", "pty", "syslog"
):
    sys.modules[name] = None
for name in (
    "fork", "forkpty", "getuid", "geteuid", "getpgid", "killpg", "setsid",
    "sched_getaffinity", "statvfs", "getloadavg", "pathconf",
    "posix_fallocate", "O_DIRECTORY", "O_NONBLOCK", "O_CLOEXEC",
):
    if hasattr(os, name):
        delattr(os, name)
for name in ("SIGHUP", "SIGKILL", "SIGUSR1", "SIGPIPE", "SIGALRM", "SIGQUIT"):
    delattr(signal, name)
import errno
del errno.EDQUOT
del socket.AF_UNIX
"""
IMPORT = """
import keras_graft.launch
import keras_graft.compare.__main__
import keras_graft.flags
assert "tensorflow" not in sys.modules
"""
HOLD = """
import pathlib
from keras_graft.runs.lock import DirectoryLock
from keras_graft.runs.signals import StopSignals
from keras_graft.runs.signals import leave_without_traceback
leave_without_traceback()
with StopSignals(), DirectoryLock(pathlib.Path(sys.argv[1])):
    print((pathlib.Path(sys.argv[1]) / ".lock").exists())
"""


def python(code, *arguments):
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_launch_is_imported_without_what_windows_lacks():
    done = python(WITHOUT + IMPORT)
    assert done.returncode == 0, done.stderr


def test_what_is_missing_is_named(tmp_path):
    done = python(WITHOUT + HOLD, str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "would not notice each other: there are no locks here" in done.stdout
    assert done.stdout.endswith("True\n")
    assert list(tmp_path.iterdir()) == []


def test_folder_that_cannot_be_opened_is_not_flushed(tmp_path, monkeypatch):
    """As on Windows, where only files can be."""
    import numpy as np

    from keras_graft.checkpoint import files

    original = os.open

    def no_folders(path, flags, *more, **named):
        if os.path.isdir(path):
            raise PermissionError(13, "Permission denied")
        return original(path, flags, *more, **named)

    monkeypatch.setattr(os, "open", no_folders)
    monkeypatch.setattr(os, "name", "nt")
    path = files.write_checkpoint(tmp_path, 1, {"a": np.ones(2)}, {})
    assert files.read_checkpoint(path).epoch == 1
