"""What is given once and needed N times: the same thing N times, or refused.

A config loses what its class does not write into it, such as the axis of a
`CosineSimilarity` or what `exclude_from_weight_decay` was told, and not every
class has one. So copies are deep copies, attribute by attribute.
"""

import copy
import io
import pickle
import types
from typing import Any

import keras
import tensorflow as tf

from keras_graft.optimizers.network_optimizers import NetworkOptimizers
from keras_graft.optimizers.network_optimizers import check_excludes_by_name

_APART = (keras.metrics.Metric, keras.optimizers.Optimizer, keras.losses.Loss)
# What has no state, or is one and the same for all.
_SHARED = (
    type,
    types.FunctionType,
    types.BuiltinFunctionType,
    types.ModuleType,
    tf.distribute.Strategy,
    tf.Tensor,
    tf.DType,
)


def one_optimizer_per_network(
    optimizer: Any, num_networks: int
) -> list[keras.optimizers.Optimizer]:
    """Resolves `compile(optimizer=...)` into N separate optimizers.

    Args:
        optimizer: A Keras optimizer, its name or its config: copied once for
            each network, and used as it is for a single one. Or a list of N
            of them, used as they are.
        num_networks: N.

    Returns:
        List of N optimizers that share nothing.

    Raises:
        ValueError: If a list has another length or names an object twice, or
            one optimizer cannot be copied.
    """
    if isinstance(optimizer, NetworkOptimizers):
        optimizer = optimizer.optimizers
    if not isinstance(optimizer, list | tuple):
        template = _optimizer(optimizer)
        if num_networks == 1:
            return [template]
        _check_copyable(template)
        return [_deep_copy(template) for _ in range(num_networks)]
    if len(optimizer) != num_networks:
        raise ValueError(
            f"`optimizer` must be one optimizer or a list of {num_networks}, "
            f"one for each network. Received a list of {len(optimizer)}."
        )
    optimizers = [_optimizer(o) for o in optimizer]
    if len({id(o) for o in optimizers}) < num_networks:
        raise ValueError(
            "Each network needs an optimizer object of its own: it holds that "
            "network's momentum. The list names one object twice. Make "
            f"{num_networks} objects, or give one to be copied."
        )
    return optimizers


def metric_copies(metrics: Any) -> Any:
    """The same metrics with a state of their own.

    Args:
        metrics: As for `keras.Model.compile`: names, functions, metrics, and
            lists and dicts of them.

    Raises:
        ValueError: If one cannot be copied.
    """
    if isinstance(metrics, dict):
        return {name: metric_copies(m) for name, m in metrics.items()}
    if isinstance(metrics, list | tuple):
        return [metric_copies(m) for m in metrics]
    if isinstance(metrics, keras.metrics.Metric):
        return _deep_copy(metrics)
    return metrics


def loss_copies(loss: Any, count: int) -> list:
    """The same loss for each network.

    Args:
        loss: As for `keras.Model.compile`.
        count: Number of networks.

    Returns:
        The loss itself for the first one. For the others too, but for losses
        that hold variables: those are copied, with a state of their own.

    Raises:
        ValueError: If one cannot be copied.
    """
    return [loss, *(_with_own_state(loss) for _ in range(count - 1))]


def loss_variables(loss: Any) -> list[keras.Variable]:
    """The variables that losses hold themselves; most hold none.

    Args:
        loss: As for `keras.Model.compile`.
    """
    return [
        value
        for each in keras.tree.flatten(loss)
        if isinstance(each, keras.losses.Loss)
        for value in keras.tree.flatten(list(vars(each).values()))
        if isinstance(value, keras.Variable)
    ]


def _with_own_state(loss):
    return keras.tree.map_structure(
        lambda each: _deep_copy(each) if loss_variables(each) else each, loss
    )


def _optimizer(given):
    try:
        found = keras.optimizers.get(given)
    except ValueError:
        found = None
    if found is None:
        raise ValueError(
            "`optimizer` must be a Keras optimizer, its name or its config, "
            f"or a list of one for each network. Received: {given!r}"
        )
    return found


def _check_copyable(optimizer):
    name = type(optimizer).__name__
    if optimizer.built:
        raise ValueError(
            f"This {name} was built for other weights: its slots belong to "
            "them, so that it cannot be copied for each network. Give a new "
            "one, or a list with one for each network."
        )
    check_excludes_by_name(optimizer)
    if isinstance(optimizer, keras.optimizers.MultiOptimizer) and not any(
        isinstance(value, keras.optimizers.OptimizerMap)
        for value in vars(optimizer).values()
    ):
        raise ValueError(
            "A MultiOptimizer that a function maps to optimizers cannot be "
            "copied for each network: all copies would share the optimizers "
            "that the function returns. Give it a "
            "keras.optimizers.OptimizerMap, or a list with a MultiOptimizer "
            "for each network."
        )


def _deep_copy(thing):
    """A copy that shares no state, in the current strategy's scope."""
    kind = type(thing).__name__
    for name, value in vars(thing).items():
        for part in keras.tree.flatten(value):
            if isinstance(part, keras.layers.Layer):
                raise ValueError(
                    f"This {kind} holds the layer '{part.name}' (in `{name}`)."
                    " A copy of it for each network would look at a copy of "
                    f"that layer, which nothing trains. Give a {kind} without "
                    f"it{_list_of(thing)}."
                )
    try:
        return _deep_copied(thing)
    except Exception as error:
        raise ValueError(
            f"This {kind} is needed once for each network, and it cannot be "
            f"copied: {error}. Let it hold numbers, arrays, variables and "
            f"functions only{_list_of(thing)}."
        ) from error


def _deep_copied(thing):
    memory = io.BytesIO()
    copier = _Copier(memory)
    copier.dump(thing)
    memory.seek(0)
    reader = _Reader(memory)
    reader.by_name = copier.by_name
    return reader.load()


class _Copier(pickle.Pickler):
    """Takes an object apart as it is.

    `copy.deepcopy` would ask Keras' objects how to pickle them, and they
    answer with their config.
    """

    def __init__(self, memory):
        super().__init__(memory)
        # What is not taken apart.
        self.by_name = {}

    def persistent_id(self, item):
        name = id(item)
        if isinstance(item, tf.Variable) and name not in self.by_name:
            self.by_name[name] = item, copy.deepcopy(item)
        elif isinstance(item, _SHARED):
            # The item too, so that its id is given to no other.
            self.by_name[name] = item, item
        return name if name in self.by_name else None

    def reducer_override(self, item):
        if isinstance(item, _APART):
            return _bare, (type(item),), dict(vars(item))
        for kind in (list, dict, set):
            # Keras' own lists and dicts want their attributes first.
            if issubclass(type(item), kind) and getattr(item, "__dict__", 0):
                arguments = type(item), kind, kind(item)
                return _filled, arguments, dict(vars(item))
        return NotImplemented


class _Reader(pickle.Unpickler):
    by_name: dict[int, tuple]

    def persistent_load(self, name):
        return self.by_name[name][1]


def _bare(kind):
    return object.__new__(kind)


def _filled(kind, base, items):
    made = kind.__new__(kind)
    fill = list.extend if base is list else base.update
    fill(made, items)
    return made


def _list_of(thing):
    if isinstance(thing, keras.optimizers.Optimizer):
        return ", or give a list with one for each network"
    return ""
