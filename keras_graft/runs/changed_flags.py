"""Which flags of a run may change between two starts of it."""

import collections
import pathlib

from keras_graft.runs.exit_codes import RunError

# What may change between two starts of one run, and is not worth a word.
_NOT_THE_RUN = ("workdir", "resume", "plan")


# How it is computed, not what: the same up to rounding.
ROUNDING = ("jit", "recompute")


# What may change, and is said.
_MAY_CHANGE = (
    "epochs",
    "data_dir",
    "cache",
    "steps_per_execution",
    "invalid_threshold",
    "export",
    "track",
    *ROUNDING,
)


def refuse_changes(path: pathlib.Path, before: str, now: str) -> list[str]:
    """Compares the flags of a run with those that it shall go on with.

    Args:
        path: The run's folder, for the message.
        before: A flagfile's text, one flag a line.
        now: Another one.

    Returns:
        Lines `--flag: before -> now` of the changes that are allowed.

    Raises:
        RunError: If a flag has changed that makes it another run.
    """
    old, new = flag_values(before), flag_values(now)
    lines, conflicts = [], []
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) == new.get(name) or name in _NOT_THE_RUN:
            continue
        line = (
            f"--{name}: {old.get(name, 'not set')} -> "
            f"{new.get(name, 'not set')}"
        )
        lines.append(line)
        if name not in _MAY_CHANGE:
            conflicts.append(line)
    if conflicts:
        raise RunError(
            f"{path} holds a run with other flags:\n  "
            + "\n  ".join(conflicts)
            + "\nGive another --workdir, or the same flags."
        )
    return lines


def refuse_fewer_epochs(path: pathlib.Path, done: int, epochs: int) -> None:
    """Refuses to end a run before where it is.

    Args:
        path: The run's folder, for the message.
        done: Epochs that it has.
        epochs: Epochs that are asked for.

    Raises:
        RunError: If it has more.
    """
    if done > epochs:
        raise RunError(
            f"--epochs={epochs}, but the run in {path} has {done} epochs "
            f"already. Give --epochs={done} or more, or another --workdir."
        )


def flag_values(text: str) -> dict[str, str]:
    """The flags of a flagfile by name; a switch is `yes` or `no`."""
    return dict(_flags_in(text))


def repeated_flags(text: str) -> list[str]:
    """The names of the flags that a flagfile has more than once, sorted."""
    count = collections.Counter(name for name, _ in _flags_in(text))
    return sorted(name for name in count if count[name] > 1)


def _flags_in(text):
    for line in text.split("\n"):
        if line.startswith("--"):
            name, equals, value = line[2:].partition("=")
            # No switch has a name that begins so.
            if not equals and name.startswith("no"):
                name, value = name[2:], "no"
            elif not equals:
                value = "yes"
            yield name, value
