"""What a checkpoint tells of its run, and what a run needs of it.

The form of a checkpoint is checked where it is restored, for any trainer;
here is what the command adds to that.
"""

import hashlib
from typing import Annotated
from typing import Any

import msgspec
import numpy as np

from keras_graft import flags
from keras_graft.checkpoint.files import Checkpoint
from keras_graft.checkpoint.manifest import MAX_EPOCHS
from keras_graft.checkpoint.strict_json import ContentError
from keras_graft.checkpoint.strict_json import check
from keras_graft.data.names import SCORES
from keras_graft.runs.changed_flags import flag_values
from keras_graft.runs.changed_flags import repeated_flags
from keras_graft.runs.exit_codes import CHECKPOINT_UNUSABLE
from keras_graft.runs.exit_codes import RunError

_Epochs = Annotated[int, msgspec.Meta(ge=1, le=MAX_EPOCHS)]


class About(msgspec.Struct, forbid_unknown_fields=True):
    """What a run stores in a checkpoint beside the rest.

    Attributes:
        flags: Its flags as a flagfile.
        flags_sha256: Their checksum.
        longer: Changes of `--epochs`: epochs done, flag before, flag after.
    """

    flags: str
    flags_sha256: str
    longer: list[tuple[_Epochs, _Epochs, _Epochs]]


def about_run(found: Checkpoint) -> tuple[About, int]:
    """What a checkpoint tells of its run, and the epochs that run was to have.

    Args:
        found: The checkpoint, whose form has been checked.

    Raises:
        RunError: If no run wrote it so.
    """
    try:
        about = check(found.state["about"], About, "about")
        epochs = _epochs_of(about, found.epoch)
        _check_longer(about.longer, found.epoch, epochs)
        _check_logs(found, _score(about))
        _check_scores(found)
    except ContentError as error:
        raise RunError(
            f"{found.path} cannot be used: {error}. Restore it from a backup, "
            "or move it away to go on from the one before it.",
            CHECKPOINT_UNUSABLE,
        ) from error
    return about, epochs


def sha256(text: str) -> str:
    # Any text that JSON can hold, one half of a pair of codes too.
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def _epochs_of(about, done):
    if about.flags_sha256 != sha256(about.flags):
        raise ContentError(
            "its entry `about.flags` has not the checksum beside it"
        )
    twice = repeated_flags(about.flags)
    if twice:
        raise ContentError(
            f"its entry `about.flags` has --{twice[0]} more than once"
        )
    values = flag_values(about.flags)
    for name, value in {"epochs": "", **values}.items():
        reason = flags.refusal(name, value)
        if reason is not None:
            raise ContentError(
                f"its entry `about.flags` has --{name}={value}: {reason}"
            )
    epochs = int(values["epochs"])
    if done > epochs:
        raise ContentError(
            f"its epoch is {done}, and its entry `about.flags` ends "
            f"the run with --epochs={epochs}"
        )
    return epochs


def _check_longer(longer, done, epochs):
    """Each change was made later than the one before it, and goes on there."""
    after = [change[1] for change in longer[1:]] + [epochs]
    last = 0
    for i, (at, before, now) in enumerate(longer):
        if not last < at <= min(done, before, now) or now != after[i]:
            raise ContentError(
                f"its entry `about.longer[{i}]` is [{at}, {before}, {now}]: "
                f"--epochs is {after[i]} after it, {done} epochs are done, and "
                f"the change before it was made after {last}"
            )
        last = at


def _score(about):
    """The log that the networks of a run are compared by."""
    task = flag_values(about.flags).get("task", "classification")
    return SCORES[task]


def _check_logs(found, score):
    history, count = found.state["history"], found.epoch
    networks = range(len(found.state["status"]))
    needed = [
        log
        for k in networks
        for log in (f"val_network_{k}_{score}", f"network_{k}_invalid_filters")
    ]
    if len(networks) > 1:
        needed.append(f"val_ensemble_{score}")
    for name in needed:
        values = history.get(name, [])
        if len(values) != count:
            raise ContentError(
                f"its entry `history.{name}` has {len(values)} values for "
                f"{count} epochs"
            )
    if found.state["epochs"] != list(range(count)):
        raise ContentError(f"its entry `epochs` must be 0 to {count - 1}")
    for name, values in history.items():
        # They are the columns of a table.
        if not name.isprintable() or name in ("", "epoch"):
            raise ContentError(
                f"its entry `history` has a log of the name {name!r}"
            )
        for i, value in enumerate(values):
            if isinstance(value, list):
                raise ContentError(
                    f"its entry `history.{name}[{i}]` must be a number"
                )


def _check_scores(found):
    """Of a live network the score of the last epoch is known."""
    scores: Any = found.arrays["trainer/scores"]
    live = np.array([one == "live" for one in found.state["status"]])
    # Asked this way round, since every comparison with NaN is false.
    if not ((scores >= 0) & (scores <= 1))[live].all():
        raise ContentError(
            f"trainer/scores is {scores.tolist()}; of a live network it is "
            "from 0 to 1"
        )
