"""Files that are there as a whole or not at all.

What a process is about to write has a name that begins with the prefix of
this package and holds the number of the process.
"""

import contextlib
import os
import pathlib
import re
import shutil
import zipfile
from collections.abc import Iterator
from typing import Any

from keras_graft.checkpoint.files import OWN_PREFIX

_UNFINISHED = re.compile(
    re.escape(OWN_PREFIX) + r".+\.\d+\.tmp(\.keras|\.onnx|\.tflite)?"
)
# Of folders only those that this package writes, and what they replace.
_UNFINISHED_FOLDER = re.compile(
    re.escape(OWN_PREFIX) + r"\w+_saved_model(\.before)?\.\d+\.tmp"
)
_IN_A_MODEL = {"config.json", "model.weights.h5"}
_IN_A_SAVED_MODEL = ("saved_model.pb", "variables/variables.index")
# Where a file of LiteRT says what it is.
_LITERT = b"TFL3"


@contextlib.contextmanager
def replacing(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A place to write to; at the end it takes the place of `path`.

    Args:
        path: Of a file, or of a folder. What is there stays if the writing
            fails.
    """
    # What writes looks at the end of the name.
    temporary = path.with_name(f"{_unfinished(path.stem)}{path.suffix}")
    try:
        yield temporary
        if temporary.is_dir() and path.exists():
            before = path.with_name(_unfinished(f"{path.name}.before"))
            os.replace(path, before)
            os.replace(temporary, path)
            shutil.rmtree(before)
        else:
            os.replace(temporary, path)
    except BaseException:
        remove(temporary)
        raise


def write_atomically(path: pathlib.Path, text: str) -> None:
    """Writes a whole file or, if that fails, leaves the old one alone."""
    temporary = path.with_name(_unfinished(path.name))
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def save_network(network: Any, path: pathlib.Path) -> None:
    """Saves a Keras model, whole or not at all."""
    with replacing(path) as temporary:
        network.save(temporary)


def is_unfinished(path: pathlib.Path) -> bool:
    """Whether a process of ours left it that died while it wrote."""
    if path.is_symlink():
        return False
    if path.is_dir():
        return _UNFINISHED_FOLDER.fullmatch(path.name) is not None
    return path.is_file() and _UNFINISHED.fullmatch(path.name) is not None


def remove(path: pathlib.Path) -> None:
    """Removes a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def is_whole(path: pathlib.Path) -> bool:
    """Whether what a finished run wrote can still be what lies there."""
    if path.is_dir():
        return all(is_whole(path / name) for name in _IN_A_SAVED_MODEL)
    if not path.is_file() or not path.stat().st_size:
        return False
    if path.suffix == ".tflite":
        with open(path, "rb") as file:
            return file.read(8)[4:] == _LITERT
    if path.suffix != ".keras":
        return True
    try:
        with zipfile.ZipFile(path) as archive:
            return _IN_A_MODEL <= set(archive.namelist())
    # The list of a foreign file may be anything.
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return False


def _unfinished(name):
    return f"{OWN_PREFIX}{name}.{os.getpid()}.tmp"
