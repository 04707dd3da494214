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
import json
import logging
import os
import pathlib
import re
import shutil
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np

from keras_graft.checkpoint.array_file import read_arrays
from keras_graft.checkpoint.manifest import ARRAYS
from keras_graft.checkpoint.manifest import FORMAT
from keras_graft.checkpoint.manifest import MANIFEST
from keras_graft.checkpoint.manifest import NAME
from keras_graft.checkpoint.manifest import STATE
from keras_graft.checkpoint.manifest import CheckpointError
from keras_graft.checkpoint.manifest import Manifest
from keras_graft.checkpoint.manifest import epoch_of
from keras_graft.checkpoint.manifest import fingerprint
from keras_graft.checkpoint.manifest import verify
from keras_graft.checkpoint.ownership import OWN_PREFIX
from keras_graft.checkpoint.ownership import free_name
from keras_graft.checkpoint.ownership import is_named_alike
from keras_graft.checkpoint.ownership import is_ours
from keras_graft.checkpoint.strict_json import ContentError
from keras_graft.checkpoint.strict_json import parse
from keras_graft.checks.plain_files import read_plain
from keras_graft.structure.printable import printable

KEPT = 2
# The first checkpoints of this package lack the prefix.
_STALE = re.compile(r"\.(keras_graft-)?epoch-\d+\.\d+\.(tmp|old)")
_LOG = logging.getLogger(__name__)


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
    found = [p for p in _entries(directory) if NAME.fullmatch(p.name)]
    return sorted(found, key=epoch_of, reverse=True)


def write_checkpoint(
    directory: pathlib.Path,
    epoch: int,
    arrays: dict[str, np.ndarray],
    state: dict[str, Any],
    kept: int = KEPT,
) -> pathlib.Path:
    """Writes a checkpoint and removes all but the newest.

    Args:
        directory: Folder of the checkpoints; must exist.
        epoch: Number of completed epochs.
        arrays: NumPy arrays by name, of NumPy's own types.
        state: What `json` can write.
        kept: How many are left, this one included, at least 1.

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
            with _flushed(temporary / ARRAYS) as file:
                np.savez(file, allow_pickle=False, **arrays)
            with _flushed(temporary / STATE) as file:
                file.write(json.dumps(state).encode())
            files = {
                name: fingerprint(temporary / name) for name in (ARRAYS, STATE)
            }
            manifest = Manifest(FORMAT, epoch, files)
            with _flushed(temporary / MANIFEST) as file:
                content = msgspec.to_builtins(manifest)
                file.write(json.dumps(content, indent=1).encode())
            _flush_folder(temporary)
            verify(temporary)
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
    keep_newest(directory, epoch, kept)
    return final


def read_checkpoint(path: pathlib.Path) -> Checkpoint:
    """Reads and verifies a checkpoint.

    Args:
        path: Its folder.

    Raises:
        CheckpointError: If a single byte is not as it was written.
    """
    try:
        epoch = verify(path)
        arrays = read_arrays(path / ARRAYS)
        state = parse(read_plain(path / STATE), dict[str, Any])
    except ContentError as error:
        raise CheckpointError(
            f"{path / STATE} cannot be used: {error}"
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


def keep_newest(directory: pathlib.Path, epoch: int, kept: int = KEPT) -> None:
    """Removes checkpoints that are older than the newest few.

    Args:
        directory: Folder of the checkpoints.
        epoch: That of a verified checkpoint.
        kept: How many are left, the one of `epoch` included.
    """
    older = [p for p in checkpoint_paths(directory) if epoch_of(p) < epoch]
    for path in older[kept - 1 :]:
        _remove(path)


def remove_all(directory: pathlib.Path) -> None:
    """Removes the checkpoints in a folder, and it too if nothing else is left.

    Raises:
        CheckpointError: If the folder itself cannot be read.
    """
    # The oldest first: whoever is killed here finds the newest again.
    for path in reversed(checkpoint_paths(directory)):
        _remove(path)
    remove_stale(directory)
    with contextlib.suppress(OSError):
        directory.rmdir()


def remove_stale(directory: pathlib.Path) -> None:
    """Removes what a process that died while writing left behind.

    Raises:
        CheckpointError: If the folder itself cannot be read.
    """
    for path in _entries(directory):
        if _STALE.fullmatch(path.name) and is_ours(path):
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


def _publish(temporary, final):
    """Renames; a folder that has the name already steps aside first."""
    aside = _hidden(final, "old")
    if final.exists() or final.is_symlink():
        if not is_named_alike(final):
            raise CheckpointError(
                f"{final} holds other things than a checkpoint; move it away"
            )
        if not is_ours(final):
            aside = free_name(final)
            _LOG.warning(
                "%s is no checkpoint that can be told from a file of yours; "
                "it is kept as %s.",
                printable(str(final)),
                aside.name,
            )
        os.rename(final, aside)
    os.rename(temporary, final)
    _flush_folder(final.parent)
    if aside.name.startswith(OWN_PREFIX):
        shutil.rmtree(aside, ignore_errors=True)


def _remove(path):
    if is_ours(path):
        # Under its own name half of it would look like a damaged one.
        aside = _hidden(path, "old")
        os.rename(path, aside)
        shutil.rmtree(aside, ignore_errors=True)


def _hidden(path, suffix):
    return path.with_name(f"{OWN_PREFIX}{path.name}.{os.getpid()}.{suffix}")


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
