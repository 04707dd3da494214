"""Whether networks are built alike, told without tracing them."""

import inspect
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

_MODELS = ("keras.src.models.functional", "keras.src.models.sequential")
# Layers that do what their configs and attributes say, and nothing else.
_LAYERS = tuple(
    f"keras.src.layers.{family}."
    for family in (
        "activations",
        "convolutional",
        "core",
        "merging",
        "normalization",
        "pooling",
        "preprocessing.normalization",
        "preprocessing.rescaling",
        "regularization",
        "reshaping",
    )
)
# Where a layer's attributes may come from: what others wrote may hide
# anything behind an equal name.
_CODE = {"keras", "keras_graft"}
_DATA = _CODE | {"builtins", "collections", "inspect", "numpy", "tensorflow"}
_PLAIN = (bool, int, float, str, tuple, type(None))
# What they are changes a variable, and no call.
_NOT_COUNTED = ("name", "seed")


def built_alike(networks: Sequence[keras.Model]) -> bool:
    """Whether N networks are known to compute the same.

    That is, the same of the same inputs and the same values of variables,
    which are numbered as in `keras.Model.variables`. Names, initializers and
    seeds do not count. A network is known if it is functional or sequential,
    of Keras' own layers as they are commonly used, nested or not. Of others
    the answer is no.

    Args:
        networks: N built models.
    """
    first, *others = map(_architecture, networks)
    return first is not None and all(other == first for other in others)


def _architecture(network):
    """All that a call depends on but numbers in variables, or None."""
    if not _is_model(network):
        return None
    variables = network.variables
    places = {id(variable): i for i, variable in enumerate(variables)}
    parts = [_part(layer, places) for layer in _layers(network)]
    given = [_given(variable) for variable in variables]
    if None in parts or None in given:
        return None
    return parts, given, _wiring(network.get_config())


def _is_model(layer):
    return type(layer).__module__ in _MODELS and "call" not in vars(layer)


def _layers(network):
    sequential = isinstance(network, keras.Sequential)
    for layer in network.layers if sequential else network.operations:
        if _is_model(layer):
            yield from _layers(layer)
        else:
            yield layer


def _part(layer, places):
    own = vars(layer)
    if not f"{type(layer).__module__}.".startswith(_LAYERS) or not all(
        map(_known, own.values())
    ):
        return None
    attributes = {
        name: _comparable(value)
        for name, value in own.items()
        if isinstance(value, (tf.Tensor, np.ndarray))
        or (
            isinstance(value, _PLAIN)
            and not name.startswith("_")
            and name not in _NOT_COUNTED
        )
    }
    return type(layer), attributes, [places[id(v)] for v in layer.variables]


def _known(value):
    is_function = inspect.isfunction(value)
    source = value.__module__ if is_function else type(value).__module__
    return (
        str(source).split(".")[0] in (_CODE if callable(value) else _DATA)
        and not isinstance(value, keras.layers.Layer)
        and not tf.is_symbolic_tensor(value)
    )


def _given(variable):
    regularizer = variable.regularizer
    if regularizer is not None:
        if not type(regularizer).__module__.startswith("keras.src."):
            return None
        regularizer = type(regularizer), _comparable(regularizer.get_config())
    return (
        tuple(variable.shape),
        variable.dtype,
        variable.trainable,
        regularizer,
    )


def _wiring(config):
    """A model's config without what does not count."""
    entries = config["layers"]
    places = {
        entry["config"]["name"]: place for place, entry in enumerate(entries)
    }
    return {
        "layers": [
            {
                "class": (entry["module"], entry["class_name"]),
                "config": _settings(entry["config"]),
                "inputs": _comparable(entry.get("inbound_nodes"), places),
            }
            for entry in entries
        ],
        **{
            name: _comparable(config[name], places)
            for name in ("input_layers", "output_layers")
            if name in config
        },
    }


def _settings(config):
    if "layers" in config:
        return _wiring(config)
    return {
        name: _comparable(value)
        for name, value in config.items()
        if name not in _NOT_COUNTED and not name.endswith("_initializer")
    }


def _comparable(value: Any, places: dict[str, int] | None = None) -> Any:
    """Equal where the values are; layers' names become their places."""
    if isinstance(value, (tf.Tensor, np.ndarray)):
        array = np.asarray(value)
        return str(array.dtype), array.shape, array.tobytes()
    if isinstance(value, dict):
        return {name: _comparable(v, places) for name, v in value.items()}
    if isinstance(value, (list, tuple)):
        # An output of a layer: its name and two numbers.
        if places and len(value) == 3 and str(value[0]) in places:
            return ["output", places[value[0]], *value[1:]]
        return [_comparable(item, places) for item in value]
    return value
