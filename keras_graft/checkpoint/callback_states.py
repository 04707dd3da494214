"""What the callbacks of a run remember from epoch to epoch."""

import collections
import logging
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_graft.diagnosis import InvalidFilterMonitor
from keras_graft.distribution.keras_gaps import STOCK_CALLBACKS

_LOG = logging.getLogger(__name__)

# Prefix of the arrays' names in a checkpoint.
PREFIX = "callback/"

_ATTRIBUTES = (
    *STOCK_CALLBACKS.items(),
    (InvalidFilterMonitor, ("before", "history")),
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
) -> None:
    """Gives the callbacks their states again.

    Must come after every `on_train_begin`, since some reset there. A callback
    that is new or gone is named in a warning.

    Args:
        callbacks: The callbacks of a `fit`.
        states: What `read_states` returned.
        arrays: Likewise.
    """
    named = _named(callbacks)
    for name, callback in named.items():
        if name in states:
            _set(callback, _decode(states[name], arrays))
        else:
            _LOG.warning(
                "The checkpoint holds no state of %s: it starts anew.", name
            )
    for name in states.keys() - named.keys():
        _LOG.warning(
            "The checkpoint holds a state of %s, which `fit` was not given.",
            name,
        )


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
    for kind, names in _ATTRIBUTES:
        if isinstance(callback, kind):
            return names
    return ()


def _has_own_state(callback):
    return all(
        callable(getattr(callback, name, None))
        for name in ("get_state", "set_state")
    )


def _get(callback):
    if _has_own_state(callback):
        return callback.get_state()
    return {name: getattr(callback, name) for name in _attributes(callback)}


def _set(callback, state):
    if _has_own_state(callback):
        callback.set_state(state)
        return
    for name, value in state.items():
        setattr(callback, name, value)


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


def _decode(value, arrays):
    if isinstance(value, list):
        return [_decode(item, arrays) for item in value]
    if isinstance(value, dict) and "array" in value:
        return arrays[value["array"]]
    if isinstance(value, dict):
        return {k: _decode(v, arrays) for k, v in value["dict"].items()}
    return value
