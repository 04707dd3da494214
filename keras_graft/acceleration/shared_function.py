"""Networks that are built alike share one function.

TensorFlow traces, rewrites and prepares every operation of a step, which takes
longer than the step itself, and longer still where N networks make a graph N
times as large. Networks that are built alike therefore share one function that
is given the variables of each in turn: all of that is done once.
"""

import contextlib
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_graft.acceleration.built_alike import built_alike
from keras_graft.acceleration.convolution_gradients import convolution_gradients
from keras_graft.acceleration.recomputation import recomputation
from keras_graft.acceleration.same_computation import same_computation


def through_one_function(
    networks: Sequence[keras.Model],
    calls: Sequence[Callable],
    views: Sequence[Any],
    recompute: bool,
    untapped: bool,
) -> list | None:
    """Calls networks that compute the same; None if they do not.

    Of networks that are built alike one is traced, where nothing is tapped.
    Else their traces tell: each network is traced, which takes a tenth of
    what TensorFlow goes on to do with a trace.
    """
    if (
        (len(networks) == 1 and not _gains_alone(networks[0]))
        or tf.executing_eagerly()
        # Replicas cannot wait for each other inside a function.
        or tf.distribute.has_strategy()
        or any(_shapes(n) != _shapes(networks[0]) for n in networks)
    ):
        return None
    specs = [tf.nest.map_structure(tf.type_spec_from_value, x) for x in views]
    alike = (
        untapped
        and all(spec == specs[0] for spec in specs)
        and built_alike(networks)
    )

    def trace(k):
        function = _on_given_variables(networks[k], calls[k], recompute)
        return function.get_concrete_function(
            *_variables(networks[k]), views[k]
        )

    try:
        first = trace(0)
        if not alike and not all(
            same_computation(first, trace(k)) for k in range(1, len(networks))
        ):
            return None
    except _OtherStateError:
        return None
    return [
        first(*_variables(network), x)
        for network, x in zip(networks, views, strict=True)
    ]


def _gains_alone(network):
    """Whether a lone network is faster in a function, too.

    In float32 it takes longer, the more memory the longer; in bfloat16
    `convolution_gradients` outweigh that.
    """
    return network.compute_dtype == "bfloat16" and not _has_gpu()


def _has_gpu():
    return bool(tf.config.list_physical_devices("GPU"))


def _variables(network):
    return [
        [variable.value for variable in variables]
        for variables in (
            network.trainable_variables,
            network.non_trainable_variables,
        )
    ]


def _shapes(network):
    return [
        [(variable.shape, variable.dtype) for variable in variables]
        for variables in _variables(network)
    ]


class _OtherStateError(Exception):
    """A network changes variables that are not its own."""


def _on_given_variables(network, call, recompute):
    """The network's call as a function that is given the variables.

    Raises:
        _OtherStateError: When it is traced, if the call changes others.
    """
    trainable, others = (
        network.trainable_variables,
        network.non_trainable_variables,
    )

    # TensorFlow would otherwise copy its operations into the caller's graph.
    @tf.function(autograph=False, experimental_attributes={"_noinline": True})
    def on_given(given_trainable, given_others, x):
        values = [
            tf.convert_to_tensor(variable) for variable in given_trainable
        ]
        # Results of the function that have no gradient would make it another
        # function in each place where it is called.
        before = [
            tf.stop_gradient(tf.convert_to_tensor(variable))
            for variable in given_others
        ]
        x = tf.nest.map_structure(tf.stop_gradient, x, expand_composites=True)
        given = keras.StatelessScope(
            [
                *zip(trainable, values, strict=True),
                *zip(others, before, strict=True),
            ],
            collect_losses=True,
        )
        with given as scope, _gradients(recompute):
            outputs, features, masks = call(x)
            losses = list(network.losses)
        own = {id(variable) for variable in [*trainable, *others]}
        if not own.issuperset(scope.state_mapping):
            # What it makes of them would be lost.
            raise _OtherStateError
        for variable, target, old in zip(
            others, given_others, before, strict=True
        ):
            new = scope.get_current_value(variable)
            if new is not old:
                target.assign(new)
        return outputs, features, masks, losses

    return on_given


@contextlib.contextmanager
def _gradients(recompute: bool) -> Iterator[None]:
    """Gradients of our own on CPUs; on a GPU they gained no speed."""
    if _has_gpu():
        yield
        return
    with contextlib.ExitStack() as stack:
        stack.enter_context(convolution_gradients())
        if recompute:
            stack.enter_context(recomputation())
        yield
