"""Checkpoints on disk: written whole or not at all, verified when read.

A checkpoint is a folder of its own:

| file | what it holds |
| --- | --- |
| `arrays.npz` | NumPy arrays by name |
| `state.json` | everything else, as JSON |
| `manifest.json` | size and SHA-256 of the two, written last |

It is written under a temporary name, flushed, read back and renamed. What it
is a checkpoint of is no matter here.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import re
import shutil
from collections.abc import Callable
from typing import Annotated
from typing import Any

import msgspec
import numpy as np

from keras_graft.checkpoint.strict_json import ContentError
from keras_graft.checkpoint.strict_json import parse
from keras_graft.structure.printable import printable

FORMAT = 1
KEPT = 2
_ARRAYS = "arrays.npz"
_STATE = "state.json"
_MANIFEST = "manifest.json"
_NAME = re.compile(r"epoch-(\d{6,})")
# What is in the making here has a name that nobody else gives.
OWN_PREFIX = ".keras_graft-"
# The first checkpoints of this package lack the prefix.
_STALE = re.compile(r"\.(keras_graft-)?epoch-\d+\.\d+\.(tmp|old)")


class _Fingerprint(msgspec.Struct, forbid_unknown_fields=True):
    """What a file was when it was written."""

    bytes: Annotated[int, msgspec.Meta(ge=0)]
    sha256: str


class _Manifest(msgspec.Struct, forbid_unknown_fields=True):
    """The content of `manifest.json`."""

    format: int
    epoch: Annotated[int, msgspec.Meta(ge=0)]
    files: dict[str, _Fingerprint]


class CheckpointError(Exception):
    """A checkpoint cannot be used; the message says which and why.

    Args:
        message: The message; names in it may hold any character.
    """

    def __init__(self, message: str):
        super().__init__(printable(message, kept="\n"))


class CheckpointWriteError(OSError):
    """A checkpoint could not be written; those before it are untouched."""


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A verified checkpoint.

    Attributes:
        path: Its folder.
        epoch: Number of completed epochs.
        arrays: NumPy arrays by name.
        state: JSON values by name.
    """

    path: pathlib.Path
    epoch: int
    arrays: dict[str, np.ndarray]
    state: dict[str, Any]


def checkpoint_paths(directory: pathlib.Path) -> list[pathlib.Path]:
    """The checkpoints in a folder, newest first; they may be unreadable.

    Raises:
        CheckpointError: If the folder itself cannot be read.
    """
    found = [p for p in _entries(directory) if _NAME.fullmatch(p.name)]
    return sorted(found, key=_epoch_of, reverse=True)


def write_checkpoint(
    directory: pathlib.Path,
    epoch: int,
    arrays: dict[str, np.ndarray],
    state: dict[str, Any],
) -> pathlib.Path:
    """Writes a checkpoint and removes all but the newest two.

    Args:
        directory: Folder of the checkpoints; must exist.
        epoch: Number of completed epochs.
        arrays: NumPy arrays by name, of NumPy's own types.
        state: What `json` can write.

    Returns:
        The checkpoint's folder.

    Raises:
        CheckpointWriteError: If the disk is full, read-only or broken. The
            checkpoints before this one are as they were.
    """
    final = directory / f"epoch-{epoch:06d}"
    temporary = _hidden(final, "tmp")
    needed = sum(array.nbytes for array in arrays.values())
    try:
        try:
            temporary.mkdir()
            with _flushed(temporary / _ARRAYS) as file:
                np.savez(file, allow_pickle=False, **arrays)
            with _flushed(temporary / _STATE) as file:
                file.write(json.dumps(state).encode())
            files = {
                name: _fingerprint(temporary / name)
                for name in (_ARRAYS, _STATE)
            }
            manifest = _Manifest(FORMAT, epoch, files)
            with _flushed(temporary / _MANIFEST) as file:
                content = msgspec.to_builtins(manifest)
                file.write(json.dumps(content, indent=1).encode())
            _flush_folder(temporary)
            _verify(temporary)
            _publish(temporary, final)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
    except (OSError, CheckpointError) as error:
        raise CheckpointWriteError(
            f"The checkpoint {final} cannot be written: {error}. It needs "
            f"about {needed} bytes, {_free_bytes(directory)} are free. The "
            "checkpoints before it are untouched. Make room, or let the "
            "folder be written, and start the same command again."
        ) from error
    keep_newest(directory, epoch)
    return final


def read_checkpoint(path: pathlib.Path) -> Checkpoint:
    """Reads and verifies a checkpoint.

    Args:
        path: Its folder.

    Raises:
        CheckpointError: If a single byte is not as it was written.
    """
    try:
        epoch = _verify(path)
        arrays = _read_arrays(path / _ARRAYS)
        state = parse((path / _STATE).read_bytes(), dict[str, Any])
    except ContentError as error:
        raise CheckpointError(
            f"{path / _STATE} cannot be used: {error}"
        ) from error
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error
    return Checkpoint(path, epoch, arrays, state)


def newest_checkpoint(
    directory: pathlib.Path, warn: Callable[[str], None]
) -> Checkpoint | None:
    """The newest checkpoint that can be read.

    Args:
        directory: Folder of the checkpoints; need not exist.
        warn: Called with a sentence for each one that is passed over.

    Returns:
        The `Checkpoint`, or None if there is none at all.

    Raises:
        CheckpointError: If there are checkpoints and none can be read. They
            are left as they are.
    """
    reasons = []
    for path in checkpoint_paths(directory):
        try:
            found = read_checkpoint(path)
        except CheckpointError as error:
            reasons.append(str(error))
            continue
        for reason in reasons:
            warn(f"{reason}. Using {path.name} instead.")
        return found
    if reasons:
        raise CheckpointError(
            "No checkpoint can be read:\n  "
            + "\n  ".join(reasons)
            + "\nThey are left as they are. Restore one from a backup, or "
            "move the folder away to start anew."
        )
    return None


def keep_newest(directory: pathlib.Path, epoch: int) -> None:
    """Removes checkpoints older than the one before `epoch`.

    Args:
        directory: Folder of the checkpoints.
        epoch: That of a verified checkpoint.
    """
    older = [p for p in checkpoint_paths(directory) if _epoch_of(p) < epoch]
    for path in older[KEPT - 1 :]:
        if not _holds_ours_only(path):
            continue
        # Under its own name half of it would look like a damaged one.
        aside = _hidden(path, "old")
        os.rename(path, aside)
        shutil.rmtree(aside, ignore_errors=True)


def remove_stale(directory: pathlib.Path) -> None:
    """Removes what a process that died while writing left behind.

    Raises:
        CheckpointError: If the folder itself cannot be read.
    """
    for path in _entries(directory):
        if _STALE.fullmatch(path.name) and _holds_ours_only(path):
            shutil.rmtree(path, ignore_errors=True)


def check_writable(directory: pathlib.Path) -> None:
    """Makes the folder, and tries to write into it.

    Raises:
        CheckpointWriteError: If that fails.
    """
    probe = _hidden(directory / "epoch-0", "tmp")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        probe.mkdir()
        probe.rmdir()
    except OSError as error:
        raise CheckpointWriteError(
            f"Checkpoints cannot be written into {directory}: {error}. Give "
            "a folder that this user may write."
        ) from error


def _entries(directory):
    """What lies in a folder, which need not exist."""
    try:
        return list(directory.iterdir()) if directory.is_dir() else []
    except OSError as error:
        raise CheckpointError(f"{directory} cannot be read: {error}") from error


def _read_arrays(path):
    """The arrays of a file, or a CheckpointError with the entry's name."""
    name = "the list of its entries"
    arrays = {}
    try:
        with np.load(path, allow_pickle=False) as file:
            for name in file.files:
                arrays[name] = file[name]
                if not isinstance(arrays[name], np.ndarray):
                    raise ValueError("it is no array")
    # A foreign file fails inside of NumPy, zipfile and zlib in any way.
    except Exception as error:
        raise CheckpointError(
            f"{path} cannot be read: {name}: {type(error).__name__}: {error}"
        ) from error
    return arrays


def _verify(path):
    """Compares every file with the manifest; returns the epoch."""
    manifest = _manifest(path)
    if _NAME.fullmatch(path.name) and manifest.epoch != _epoch_of(path):
        raise CheckpointError(
            f"{path} says that it is of epoch {manifest.epoch}"
        )
    for name in (_ARRAYS, _STATE):
        expected = manifest.files.get(name)
        if not (path / name).is_file():
            raise CheckpointError(f"{path} lacks the file {name}")
        found = _fingerprint(path / name)
        if found != expected:
            raise CheckpointError(
                f"{path / name} is damaged: it is {_said(found)}, the "
                f"manifest has {_said(expected)}"
            )
    return manifest.epoch


def _said(fingerprint):
    if fingerprint is None:
        return "nothing of it"
    return f"{fingerprint.bytes} bytes with SHA-256 {fingerprint.sha256}"


def _manifest(path):
    try:
        data = (path / _MANIFEST).read_bytes()
        # Another format may have other entries.
        form = parse(data, dict[str, Any]).get("format")
        if type(form) is not int:
            raise ContentError(f"its entry `format` is {form!r}")
        if form != FORMAT:
            raise CheckpointError(
                f"{path} has the format {form}; this version of keras_graft "
                f"reads {FORMAT}"
            )
        return parse(data, _Manifest)
    except (OSError, ContentError) as error:
        raise CheckpointError(
            f"{path / _MANIFEST} cannot be read: {error}"
        ) from error


def _publish(temporary, final):
    """Renames; a folder that has the name already steps aside first."""
    aside = _hidden(final, "old")
    if final.exists() or final.is_symlink():
        if not _holds_ours_only(final):
            raise CheckpointError(
                f"{final} holds other things than a checkpoint; move it away"
            )
        os.rename(final, aside)
    os.rename(temporary, final)
    _flush_folder(final.parent)
    shutil.rmtree(aside, ignore_errors=True)


def _holds_ours_only(path):
    """Whether a folder is one that may be removed with all that is in it."""
    if path.is_symlink() or not path.is_dir():
        return False
    return {p.name for p in path.iterdir()} <= {_ARRAYS, _STATE, _MANIFEST}


def _hidden(path, suffix):
    return path.with_name(f"{OWN_PREFIX}{path.name}.{os.getpid()}.{suffix}")


def _epoch_of(path):
    return int(_NAME.fullmatch(path.name)[1])


def _fingerprint(path):
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return _Fingerprint(path.stat().st_size, digest)


@contextlib.contextmanager
def _flushed(path):
    """A file for writing whose bytes are on the disk when it is closed."""
    with open(path, "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def _flush_folder(path):
    if os.name == "nt":
        return  # Folders cannot be opened there, so that they are not flushed.
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _free_bytes(directory):
    try:
        return shutil.disk_usage(directory).free
    except OSError:
        return "an unknown number of"
