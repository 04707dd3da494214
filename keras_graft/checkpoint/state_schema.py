"""What `state.json` and the arrays beside it must be to go on from them.

Checksums tell damage; they do not tell a file that someone has edited, or
that another program wrote.
"""

from collections.abc import Collection
from typing import Annotated
from typing import Any
from typing import Literal

import msgspec
import numpy as np

from keras_graft.checkpoint.manifest import MAX_EPOCHS
from keras_graft.checkpoint.strict_json import ContentError
from keras_graft.checkpoint.strict_json import check
from keras_graft.trainer.health import MAX_HEALINGS

_Epoch = Annotated[int, msgspec.Meta(ge=0, le=MAX_EPOCHS)]
# A metric's result may be a vector.
_Log = list[float | list[Any]]
# A century.
_Seconds = Annotated[float, msgspec.Meta(ge=0, le=100 * 366 * 86400)]
# By entry the largest number in it: float32 counts no further.
_MOST = {"masked": 2.0**24, "retired": 1.0, "healings": float(MAX_HEALINGS)}
# Owners of arrays that belong to one network.
_OF_NETWORK = ("network_", "optimizer_")


class State(msgspec.Struct, forbid_unknown_fields=True):
    """The content of `state.json`.

    Attributes:
        made_by: What the last bits depend on, by name.
        about: What the caller stores beside the rest.
        status: Of each network.
        stopped: Whether a callback ended the training.
        seconds: Time of the training so far.
        epochs: Those of the history, counted from 0.
        history: Logs by name, each with an entry per epoch or fewer.
        callbacks: Their states by name, as `callback_states` encodes them.
        not_finite: Names of weights and optimizer slots of live networks that
            are not finite: what changes weights after an epoch's check may
            leave such, and a slot may overflow without harm.
        rates: What each optimizer was compiled with as its learning rate; None
            in a checkpoint that is older than that entry.
    """

    made_by: dict[str, str | int]
    about: dict[str, Any]
    status: list[Literal["live", "masked", "retired"]]
    stopped: bool
    seconds: _Seconds
    epochs: list[_Epoch]
    history: dict[str, Any]
    callbacks: dict[str, Any]
    not_finite: list[str] = []
    rates: list[Any] | None = None


def checked_state(state: dict[str, Any], epoch: int) -> State:
    """Returns what was read from `state.json` as a `State`.

    Args:
        state: JSON values by name.
        epoch: Number of completed epochs.

    Raises:
        ContentError: If an entry is missing, unknown or of another form.
    """
    found = check(state, State)
    epochs = found.epochs
    if epochs != sorted(set(epochs)) or epochs[-1:] != [epoch - 1]:
        raise ContentError(
            f"its entry `epochs` must rise to {epoch - 1}, the last of the "
            f"{epoch} epochs of this checkpoint"
        )
    for name, values in found.history.items():
        if len(check(values, _Log, f"history.{name}")) > len(epochs):
            raise ContentError(
                f"its entry `history.{name}` has {len(values)} values for "
                f"{len(epochs)} epochs"
            )
        for i, value in enumerate(values):
            if not _is_array_of_numbers(value):
                raise ContentError(
                    f"its entry `history.{name}[{i}]` must be a number, or "
                    "lists of numbers that are equally long"
                )
    return found


def _is_array_of_numbers(value):
    try:
        return np.asarray(value).dtype.kind in "iuf"
    # Lists of unequal length, and numbers that have no float.
    except (ValueError, OverflowError):
        return False


def refuse_impossible_arrays(
    state: State,
    arrays: dict[str, np.ndarray],
    variances: Collection[str] = (),
) -> None:
    """Refuses values that no training leaves behind.

    Args:
        state: The checkpoint's state.
        arrays: Its arrays of variables by name, of the right names, types
            and shapes.
        variances: Names of those that hold the variances of a
            BatchNormalization.

    Raises:
        ContentError: With the name of the first such array.
    """
    _check_health(state, arrays)
    _check_finite(state, arrays)
    for name, array in arrays.items():
        owner, _, rest = name.partition("/")
        if owner.startswith("optimizer_"):
            _check_counter(name, _without_replica(rest), array)
        if _without_replica(name) in variances and (array < 0).any():
            raise ContentError(
                f"{name} has {array.min():g} in it, and a variance is at "
                "least 0"
            )


def not_finite(status: list[str], arrays: dict[str, np.ndarray]) -> list[str]:
    """Names of arrays of live networks that are not finite.

    Args:
        status: Of each network.
        arrays: Arrays by name; weights and optimizer slots are looked at.
    """
    live = {
        f"{owner}{k}"
        for k, one in enumerate(status)
        if one == "live"
        for owner in _OF_NETWORK
    }
    return [
        name
        for name, array in arrays.items()
        if name.partition("/")[0] in live and not all_finite(array)
    ]


def all_finite(array: np.ndarray) -> bool:
    """Whether there is no NaN and no infinity in an array of numbers."""
    return array.dtype.kind != "f" or bool(np.isfinite(array).all())


def _check_finite(state, arrays):
    found = not_finite(state.status, arrays)
    for name in found:
        if name not in state.not_finite:
            network = name.partition("/")[0].rpartition("_")[2]
            raise ContentError(
                f"{name} is not finite, and network_{network} is live"
            )
    for name in state.not_finite:
        if name not in found:
            raise ContentError(
                f"its entry `not_finite` names {name}, which is no array of a "
                "live network with a number that is not finite"
            )


def _check_health(state, arrays):
    masked, retired = arrays["trainer/masked"], arrays["trainer/retired"]
    for name, most in _MOST.items():
        values = arrays[f"trainer/{name}"]
        whole = np.isfinite(values) & (values == np.round(values))
        if not (whole & (values >= 0) & (values <= most)).all():
            raise ContentError(
                f"trainer/{name} is {values.tolist()}; its entries are whole "
                f"numbers from 0 to {most:.0f}"
            )
    found = [
        "retired" if out else "masked" if steps else "live"
        for steps, out in zip(masked, retired, strict=True)
    ]
    if state.status != found:
        raise ContentError(
            f"its entry `status` is {state.status}, and by trainer/masked and "
            f"trainer/retired it is {found}"
        )


def _check_counter(name, rest, array):
    kind = rest.rpartition("/")[2]
    if kind in ("iteration", "counter") and not (array >= 0).all():
        raise ContentError(f"{name} is {array.tolist()}, and below 0")
    if kind == "rate" and not (np.isfinite(array) & (array >= 0)).all():
        raise ContentError(
            f"{name} is {array.tolist()}, which is no learning rate"
        )


def _without_replica(name):
    return name.partition("@")[0]
