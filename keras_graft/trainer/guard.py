"""Keeps a step that went wrong from leaving a trace."""

import contextlib
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_graft.optimizers.network_optimizers import scale_variables
from keras_graft.optimizers.network_optimizers import state_variables


def once_drawn(data: Any) -> contextlib.AbstractContextManager:
    """Within it, a step changes nothing before its batch is there.

    Where nobody knows how many batches there are, the step after the last
    one fails for want of data. What does not depend on the data, such as the
    counters of steps and examples, would have changed by then.

    Args:
        data: The batch.
    """
    tensors = tf.nest.flatten(data, expand_composites=True)
    # As one operation: all that waits would wait for each of them by itself.
    drawn = tf.group(*[t for t in tensors if t is not None])
    return tf.control_dependencies([] if drawn is None else [drawn])


def snapshots(
    networks: Sequence[keras.Model],
    optimizers: Sequence[keras.optimizers.Optimizer],
) -> list[list[tf.Tensor]]:
    """The values, before a step, of all that it may change.

    Args:
        networks: N models.
        optimizers: Their optimizers, built.

    Returns:
        For each network the values of what `changed_by_step` names, in one
        list.
    """
    return [
        values(sum(changed_by_step(network, optimizer), []))
        for network, optimizer in zip(networks, optimizers, strict=True)
    ]


def changed_by_step(
    network: keras.Model, optimizer: keras.optimizers.Optimizer
) -> tuple[list[keras.Variable], list[keras.Variable]]:
    """All that a step may change in a network and its optimizer.

    The states of seed generators are not among them: they go on.

    Returns:
        `(state, scale)`: weights, statistics, slots and counters; and the
        loss scale with its counter, which has to fall when gradients overflow
        and nothing else changes.
    """
    state = [
        *network.non_trainable_weights,
        *network.trainable_variables,
        *state_variables(optimizer),
    ]
    return state, scale_variables(optimizer)


def values(variables: Sequence[keras.Variable]) -> list[tf.Tensor]:
    """The values of variables at this point of a step."""
    return [tf.convert_to_tensor(variable.value) for variable in variables]


def keep_where(
    healthy: tf.Tensor,
    variables: Sequence[keras.Variable],
    after: Sequence[tf.Tensor],
    before: Sequence[tf.Tensor],
) -> None:
    """Sets variables back to their values before the step, if it failed.

    A select instead of a branch: assignments to an optimizer's counters merge
    the replicas, which TensorFlow allows in no branch.

    Args:
        healthy: Scalar, float32: 1.0 keeps the new values, 0.0 the old ones.
        variables: What the step has changed.
        after: Their `values` now.
        before: Their values before the step, from `snapshots`.
    """
    kept = healthy > 0
    for variable, new, old in zip(variables, after, before, strict=True):
        variable.value.assign(tf.where(kept, new, old))
