"""What `state.json` and the arrays beside it must be to go on from them.

Checksums tell damage; they do not tell a file that someone has edited, or
that another program wrote.
"""

from typing import Annotated
from typing import Any
from typing import Literal

import msgspec
import numpy as np

from keras_graft.checkpoint.strict_json import ContentError
from keras_graft.checkpoint.strict_json import check

_Count = Annotated[int, msgspec.Meta(ge=0)]
# A metric's result may be a vector.
_Log = list[float | list[Any]]
_Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e12)]


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
        not_finite: Names of weights of live networks that are not finite:
            what changes weights after an epoch's check may leave such.
        rates: What each optimizer was compiled with as its learning rate; None
            in a checkpoint that is older than that entry.
    """

    made_by: dict[str, str | int]
    about: dict[str, Any]
    status: list[Literal["live", "masked", "retired"]]
    stopped: bool
    seconds: _Seconds
    epochs: list[_Count]
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
    return found


def refuse_impossible_arrays(
    state: State, arrays: dict[str, np.ndarray]
) -> None:
    """Refuses values that no training leaves behind.

    Args:
        state: The checkpoint's state.
        arrays: Its arrays of variables by name, of the right names, types
            and shapes.

    Raises:
        ContentError: With the name of the first such array.
    """
    _check_health(state, arrays)
    live = {
        f"network_{k}"
        for k, status in enumerate(state.status)
        if status == "live"
    }
    for name, array in arrays.items():
        owner, _, rest = name.partition("/")
        if owner in live and name not in state.not_finite:
            if not all_finite(array):
                raise ContentError(f"{name} is not finite, and {owner} is live")
        if owner.startswith("optimizer_"):
            _check_counter(name, rest.rpartition("/")[2], array)


def not_finite(status: list[str], arrays: dict[str, np.ndarray]) -> list[str]:
    """Names of the weights of live networks that are not finite."""
    return [
        name
        for k, one in enumerate(status)
        if one == "live"
        for name, array in arrays.items()
        if name.startswith(f"network_{k}/") and not all_finite(array)
    ]


def all_finite(array: np.ndarray) -> bool:
    """Whether there is no NaN and no infinity in an array of numbers."""
    return array.dtype.kind != "f" or bool(np.isfinite(array).all())


def _check_health(state, arrays):
    masked, retired = arrays["trainer/masked"], arrays["trainer/retired"]
    for name in ("masked", "retired", "healings"):
        values = arrays[f"trainer/{name}"]
        most = 1.0 if name == "retired" else np.inf
        whole = np.isfinite(values) & (values == np.round(values))
        if not (whole & (values >= 0) & (values <= most)).all():
            raise ContentError(
                f"trainer/{name} is {values.tolist()}; its entries are whole "
                + ("0 or 1" if name == "retired" else "and at least 0")
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


def _check_counter(name, kind, array):
    if kind == "iteration" and not (array >= 0).all():
        raise ContentError(f"{name} is {array.tolist()}, and below 0")
    if kind == "rate" and not (np.isfinite(array) & (array >= 0)).all():
        raise ContentError(
            f"{name} is {array.tolist()}, which is no learning rate"
        )
