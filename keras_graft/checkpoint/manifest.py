"""What a checkpoint's files must be, and whether they are."""

import hashlib
import re
from typing import Annotated
from typing import Any

import msgspec

from keras_graft.checkpoint.strict_json import ContentError
from keras_graft.checkpoint.strict_json import parse
from keras_graft.checks.plain_files import other_kind
from keras_graft.checks.plain_files import read_plain
from keras_graft.structure.printable import printable

FORMAT = 1
ARRAYS = "arrays.npz"
STATE = "state.json"
MANIFEST = "manifest.json"
NAME = re.compile(r"epoch-(\d{6,})")
# What `fit` can count.
MAX_EPOCHS = 2**31 - 1


class Fingerprint(msgspec.Struct, forbid_unknown_fields=True):
    """What a file was when it was written."""

    bytes: Annotated[int, msgspec.Meta(ge=0)]
    sha256: str


class Manifest(msgspec.Struct, forbid_unknown_fields=True):
    """The content of `manifest.json`."""

    format: int
    epoch: Annotated[int, msgspec.Meta(ge=0, le=MAX_EPOCHS)]
    files: dict[str, Fingerprint]


def verify(path):
    """Compares every file with the manifest; returns the epoch."""
    manifest = _manifest(path)
    if NAME.fullmatch(path.name) and manifest.epoch != epoch_of(path):
        raise CheckpointError(
            f"{path} says that it is of epoch {manifest.epoch}"
        )
    for name in (ARRAYS, STATE):
        expected = manifest.files.get(name)
        if not (path / name).is_file():
            kind = other_kind(path / name)
            raise CheckpointError(
                f"{path} lacks the file {name}"
                + (f": {kind} has its name" if kind else "")
            )
        found = fingerprint(path / name)
        if found != expected:
            raise CheckpointError(
                f"{path / name} is damaged: it is {_said(found)}, the "
                f"manifest has {_said(expected)}"
            )
    return manifest.epoch


def is_manifest_of(path, epoch):
    """Whether the manifest in a folder is one, and of this epoch."""
    try:
        return _manifest(path).epoch == epoch
    except CheckpointError:
        return False


def _said(fingerprint):
    if fingerprint is None:
        return "nothing of it"
    return f"{fingerprint.bytes} bytes with SHA-256 {fingerprint.sha256}"


def _manifest(path):
    try:
        data = read_plain(path / MANIFEST)
        # Another format may have other entries.
        form = parse(data, dict[str, Any]).get("format")
        if type(form) is not int:
            raise ContentError(f"its entry `format` is {form!r}")
        if form != FORMAT:
            raise CheckpointError(
                f"{path} has the format {form}; this version of keras_graft "
                f"reads {FORMAT}"
            )
        return parse(data, Manifest)
    except (OSError, ContentError) as error:
        raise CheckpointError(
            f"{path / MANIFEST} cannot be read: {error}"
        ) from error


def fingerprint(path):
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Fingerprint(path.stat().st_size, digest)


class CheckpointError(Exception):
    """A checkpoint cannot be used; the message says which and why.

    Args:
        message: The message; names in it may hold any character.
    """

    def __init__(self, message: str):
        super().__init__(printable(message, kept="\n"))


def epoch_of(path):
    return int(NAME.fullmatch(path.name)[1])
