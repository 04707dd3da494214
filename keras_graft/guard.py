"""Keeps a step that went wrong from leaving a trace."""

import collections
import contextlib
import functools
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf


def all_finite(tensors: Sequence[Any]) -> tf.Tensor:
    """1.0 if every number is finite on every replica, else 0.0.

    Args:
        tensors: Tensors or variables of any shape; integers are finite.

    Returns:
        Scalar tensor, float32.
    """
    # XLA compiles every reduction by itself, and a GPU starts it by itself.
    by_shape = collections.defaultdict(list)
    for tensor in map(tf.convert_to_tensor, tensors):
        if tensor.dtype.is_floating:
            # Two shapes that are not known may differ.
            known = tensor.shape.is_fully_defined()
            shape = tuple(tensor.shape) if known else len(by_shape)
            by_shape[shape].append(tf.math.is_finite(tensor))
    finite = [
        tf.reduce_all(functools.reduce(tf.logical_and, of_one_shape))
        for of_one_shape in by_shape.values()
    ]
    bad = ~tf.reduce_all(tf.stack(finite))
    return 1.0 - tf.minimum(_over_replicas(bad), 1.0)


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


def snapshot(variables: Sequence[keras.Variable]) -> list[tf.Tensor]:
    """The values of variables before a step."""
    return [tf.convert_to_tensor(variable.value) for variable in variables]


def keep_where(
    healthy: tf.Tensor,
    variables: Sequence[keras.Variable],
    after: Sequence[tf.Tensor],
    before: Sequence[tf.Tensor],
) -> None:
    """Takes variables back to their values before the step, if it failed.

    A select instead of a branch: assignments to an optimizer's counters merge
    the replicas, which TensorFlow allows in no branch.

    Args:
        healthy: Scalar, float32: 1.0 keeps the new values, 0.0 the old ones.
        variables: What the step has changed.
        before: Their values before it, from `snapshot`.
    """
    kept = healthy > 0
    for variable, new, old in zip(variables, after, before, strict=True):
        variable.value.assign(tf.where(kept, new, old))


def _over_replicas(flag):
    count = tf.cast(flag, "float32")
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return count
    return context.all_reduce(tf.distribute.ReduceOp.SUM, count)
