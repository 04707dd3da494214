"""What a study with `--hours` keeps beside its runs.

`plan.flags` is the plan, for people to read and change; `hours.json` is what
was timed, and how much of the hours is used up.
"""

import json
import pathlib
from collections.abc import Sequence

import msgspec

from keras_graft.checkpoint.strict_json import ContentError
from keras_graft.checkpoint.strict_json import parse
from keras_graft.checks.plain_files import read_plain
from keras_graft.compare.hours import Choice
from keras_graft.compare.records import Amount
from keras_graft.flags import flagfiles
from keras_graft.runs.exit_codes import RunError
from keras_graft.runs.whole_files import write_atomically

_PLAN = "plan.flags"
_HOURS = "hours.json"
# The flags of a plan, and the least that they may be.
_LEAST = {"arms": 2, "num_networks": 2, "num_seeds": 1, "epochs": 1}


class Pace(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How fast runs of a kind are.

    Attributes:
        beside_seconds: Of a run, beside its epochs.
        epoch_seconds: Of an epoch, beside its steps.
        step_seconds: Of a step.
        step_flops: Operations of that step.
    """

    beside_seconds: Amount
    epoch_seconds: Amount
    step_seconds: Amount
    step_flops: Amount


class Hours(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was timed and used.

    Attributes:
        flags: Those that all arms share, without the plan's.
        one: Pace of one network, or None where none was timed.
        several: Pace of N networks, likewise.
        used_seconds: Of the hours, by starts that have ended and runs that
            are done.
    """

    flags: list[str]
    one: Pace | None
    several: Pace | None
    used_seconds: Amount


def plan_path(folder: pathlib.Path) -> pathlib.Path:
    """The file of the plan."""
    return folder / _PLAN


def read_hours(folder: pathlib.Path) -> Hours | None:
    """What was timed and used, or None before that.

    Raises:
        RunError: If the file cannot be read, or holds something else.
    """
    file = folder / _HOURS
    try:
        return parse(read_plain(file), Hours)
    except FileNotFoundError:
        return None
    except (OSError, ContentError) as error:
        raise RunError(
            f"{file} is none of this version: {error}. Move it away, and a "
            "few steps are timed again."
        ) from error


def write_hours(folder: pathlib.Path, hours: Hours) -> None:
    """Keeps what was timed and used."""
    text = json.dumps(msgspec.to_builtins(hours), indent=1) + "\n"
    write_atomically(folder / _HOURS, text)


def write_plan(
    folder: pathlib.Path,
    choice: Choice,
    num_networks: int,
    about: Sequence[str],
) -> None:
    """Writes a plan as flags of `compare`.

    Args:
        folder: The study's folder.
        choice: The plan.
        num_networks: N.
        about: Lines for a person, which go before it.
    """
    lines = [
        *(f"# {line}".rstrip() for line in about),
        "",
        f"--arms={','.join(choice.arms)}",
        f"--num_networks={num_networks}",
        f"--num_seeds={choice.num_seeds}",
        f"--epochs={choice.epochs}",
    ]
    write_atomically(folder / _PLAN, "".join(f"{line}\n" for line in lines))


def read_plan(folder: pathlib.Path) -> tuple[Choice, int] | None:
    """The plan of a study and its N, or None if there is none yet.

    Raises:
        RunError: If the file holds no plan.
    """
    path = plan_path(folder)
    if not path.exists():
        return None
    try:
        found = flagfiles.expand([f"--flagfile={path}"]).arguments
        values = dict(_flag(argument.text) for argument in found)
        missing = [f"--{name}" for name in _LEAST if name not in values]
        if missing:
            raise ValueError(f"{missing[0]} is missing")
    except ValueError as error:
        raise RunError(
            f"{path} is no plan: {error}. It holds --arms, --num_networks, "
            "--num_seeds and --epochs, nothing else. Mend it, or move it "
            "away: a plan is made anew."
        ) from error
    num_networks = values.pop("num_networks")
    return Choice(**values), num_networks


def _flag(text):
    """A flag of a plan: its name and value."""
    name, _, value = text.lstrip("-").partition("=")
    if name not in _LEAST:
        raise ValueError(f"{text} is no flag of a plan")
    if name == "arms":
        arms = tuple(filter(None, (arm.strip() for arm in value.split(","))))
        if len(arms) < 2:
            raise ValueError(f"{text} must name two arms at least")
        return name, arms
    if not value.isdecimal() or not _LEAST[name] <= int(value) < 2**31:
        raise ValueError(f"{text} must be a whole number from {_LEAST[name]}")
    return name, int(value)
