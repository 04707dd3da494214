"""Keeps a step that went wrong from leaving a trace."""

import contextlib
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf


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
