"""`given.json`: which models a run was given, and that they stay the same.

A run that goes on with another file under the same name is another run,
although every flag is the same.
"""

import hashlib
import json
import os
import pathlib
from typing import Any

from keras_graft.checks.plain_files import read_plain
from keras_graft.runs.exit_codes import RunError
from keras_graft.runs.whole_files import write_atomically

_FLAGS = ("model", "weights", "initial_network")


def digests_of(settings: Any) -> dict[str, str]:
    """The SHA-256 of each file that a flag names, by the flag.

    Args:
        settings: The run's flags.
    """
    found = {}
    for flag in _FLAGS:
        path = getattr(settings, flag)
        if path is not None and os.path.isabs(path):
            with open(path, "rb") as file:
                digest = hashlib.file_digest(file, "sha256")
            found[flag] = digest.hexdigest()
    return found


def write(path: pathlib.Path, digests: dict[str, str]) -> None:
    """Writes the table; nothing where a run is given no files.

    Args:
        path: `given.json` of the run directory.
        digests: What `digests_of` returned.
    """
    if digests:
        write_atomically(path, json.dumps(digests, indent=2) + "\n")


def refuse_other_files(
    path: pathlib.Path, settings: Any, digests: dict[str, str]
) -> None:
    """Refuses to go on with other files than those a run began with.

    Args:
        path: `given.json` of the run directory; it need not exist.
        settings: The run's flags.
        digests: What `digests_of` returned.

    Raises:
        RunError: If a file has changed, or the table cannot be read.
    """
    if not path.exists():
        return
    try:
        before = json.loads(read_plain(path))
        changed = [f for f in digests if before.get(f) != digests[f]]
    except (OSError, ValueError, AttributeError) as error:
        raise RunError(
            f"{path} cannot be read ({error}). Restore it, or give another "
            "--workdir."
        ) from error
    if changed:
        lines = "".join(f"\n  --{f}={getattr(settings, f)}" for f in changed)
        raise RunError(
            f"The run in {path.parent} began with other files under these "
            f"names:{lines}\nBring them back ({path.name} has their SHA-256), "
            "or give another --workdir."
        )
