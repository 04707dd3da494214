"""What the callbacks of a run remember from epoch to epoch."""

import collections
import logging
from collections.abc import Sequence
from typing import Annotated
from typing import Any

import keras
import msgspec
import numpy as np

from keras_graft.checkpoint.strict_json import ContentError
from keras_graft.checkpoint.strict_json import check
from keras_graft.diagnosis import InvalidFilterMonitor
from keras_graft.distribution.keras_gaps import STOCK_CALLBACKS
from keras_graft.structure.printable import printable

_LOG = logging.getLogger(__name__)

# Prefix of the arrays' names in a checkpoint.
PREFIX = "callback/"

_Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
# What counts epochs, or is the number of one: at most those that are done.
_OF_EPOCHS = ("wait", "best_epoch", "stopped_epoch")
# By name the form of what a callback without `get_state` remembers.
_ATTRIBUTES: tuple[tuple[type, dict[str, Any]], ...] = (
    *STOCK_CALLBACKS.items(),
    (
        InvalidFilterMonitor,
        {"before": list[_Count], "history": list[list[_Count]]},
    ),
)


def read_states(
    callbacks: Sequence[keras.callbacks.Callback],
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The states of the callbacks that have one.

    Known are Keras' own and every callback with the methods `get_state()`,
    which returns numbers, texts, arrays, and lists or dicts of them, and
    `set_state(state)`.

    Args:
        callbacks: The callbacks of a `fit`.

    Returns:
        `(states, arrays)`: JSON values and NumPy arrays, by name.

    Raises:
        TypeError: If a state holds something else.
    """
    states, arrays = {}, {}
    for name, callback in _named(callbacks).items():
        states[name] = _encode(_get(callback), PREFIX + name, arrays)
    return states, arrays


def restore_states(
    callbacks: Sequence[keras.callbacks.Callback],
    states: dict[str, Any],
    arrays: dict[str, np.ndarray],
    epochs: int,
) -> None:
    """Gives the callbacks their states again.

    Must come after every `on_train_begin`, since some reset there. A callback
    that is new or gone is named in a warning.

    Args:
        callbacks: The callbacks of a `fit`.
        states: What `read_states` returned.
        arrays: Likewise.
        epochs: How many are done.

    Raises:
        ContentError: With the name of the callback, if its state is not one
            that it can have.
    """
    unused = {name for name in arrays if name.startswith(PREFIX)}
    decoded = {
        name: _decode(state, arrays, f"callbacks.{name}", unused)
        for name, state in states.items()
    }
    named = _named(callbacks)
    for name, callback in named.items():
        if name in decoded:
            _set(callback, decoded[name], f"callbacks.{name}", epochs)
        else:
            _LOG.warning(
                "The checkpoint holds no state of %s: it starts anew.",
                printable(name),
            )
    for name in states.keys() - named.keys():
        _LOG.warning(
            "The checkpoint holds a state of %s, which `fit` was not given.",
            printable(name),
        )
    if unused:
        raise ContentError(f"unexpected: {min(unused)}, which no state names")


def _named(callbacks):
    """The callbacks with a state, as `EarlyStopping`, `EarlyStopping_1`."""
    count = collections.Counter()
    named = {}
    for callback in callbacks:
        if _attributes(callback) or _has_own_state(callback):
            kind = type(callback).__name__
            suffix = f"_{count[kind]}" if count[kind] else ""
            count[kind] += 1
            named[kind + suffix] = callback
    return named


def _attributes(callback):
    for kind, forms in _ATTRIBUTES:
        if isinstance(callback, kind):
            return forms
    return {}


def _has_own_state(callback):
    return all(
        callable(getattr(callback, name, None))
        for name in ("get_state", "set_state")
    )


def _get(callback):
    if _has_own_state(callback):
        return callback.get_state()
    return {name: getattr(callback, name) for name in _attributes(callback)}


def _set(callback, state, entry, epochs):
    if _has_own_state(callback):
        try:
            callback.set_state(state)
        # Its code, and it tells so in its own way.
        except Exception as error:
            raise _refused_by(callback, entry, error) from error
        return
    forms = _attributes(callback)
    if not isinstance(state, dict) or state.keys() != forms.keys():
        raise ContentError(f"its entry `{entry}` must hold {', '.join(forms)}")
    for name, value in state.items():
        check(value, forms[name], f"{entry}.{name}")
        if name in _OF_EPOCHS and value > epochs:
            raise ContentError(
                f"its entry `{entry}.{name}` is {value}, and {epochs} epochs "
                "are done"
            )
    if isinstance(callback, InvalidFilterMonitor):
        _check_counts(callback, state, entry, epochs)
    if state.get("best_weights"):
        _check_weights(callback.model, state["best_weights"], entry)
    for name, value in state.items():
        setattr(callback, name, value)


def _refused_by(callback, entry, error):
    return ContentError(
        f"its entry `{entry}` is no state of {type(callback).__name__} "
        f"({type(error).__name__}: {error})"
    )


def _check_counts(monitor, state, entry, epochs):
    """Refuses what is not of this model's filters, or of other epochs."""
    most = monitor.total_filters
    counts = {f"history[{i}]": c for i, c in enumerate(state["history"])}
    for name, count in {"before": state["before"], **counts}.items():
        if len(count) != len(most) or any(np.greater(count, most)):
            raise ContentError(
                f"its entry `{entry}.{name}` is {count}, and the networks "
                f"have {most} filters"
            )
    if len(counts) > epochs:
        raise ContentError(
            f"its entry `{entry}.history` is of {len(counts)} epochs, and "
            f"{epochs} are done"
        )


def _check_weights(model, values, entry):
    """Refuses values that `model.set_weights` would not take."""
    shapes = [tuple(weight.shape) for weight in model.weights]
    try:
        found = [np.asarray(value, "float64").shape for value in values]
    except (TypeError, ValueError) as error:
        raise ContentError(
            f"its entry `{entry}.best_weights` holds no numbers"
        ) from error
    if found != shapes:
        raise ContentError(
            f"its entry `{entry}.best_weights` has other shapes than the "
            "weights of the model"
        )


def _encode(value, name, arrays):
    if isinstance(value, dict):
        return {
            "dict": {
                key: _encode(item, f"{name}/{key}", arrays)
                for key, item in value.items()
            }
        }
    if isinstance(value, list | tuple):
        return [
            _encode(item, f"{name}/{i}", arrays) for i, item in enumerate(value)
        ]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if keras.ops.is_tensor(value) or isinstance(value, np.ndarray | np.generic):
        array = keras.ops.convert_to_numpy(value)
        if array.ndim == 0:
            return array.item()
        arrays[name] = array
        return {"array": name}
    raise TypeError(
        f"{name} is a {type(value).__name__}, which a checkpoint cannot hold: "
        "a callback's state is made of numbers, texts, arrays, lists and "
        "dicts."
    )


def _decode(value, arrays, entry, unused):
    if isinstance(value, list):
        return [_decode(item, arrays, entry, unused) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"array"} and isinstance(value["array"], str):
        name = value["array"]
        if not name.startswith(PREFIX) or name not in arrays:
            raise ContentError(f"missing: {name}, which `{entry}` names")
        unused.discard(name)
        return arrays[name]
    if value.keys() == {"dict"} and isinstance(value["dict"], dict):
        return {
            key: _decode(item, arrays, f"{entry}.{key}", unused)
            for key, item in value["dict"].items()
        }
    raise ContentError(
        f"its entry `{entry}` is neither a value nor the name of an array"
    )
