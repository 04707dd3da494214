"""What replicas need beyond Keras so that together they take one step."""

import collections
import contextlib
import functools
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_graft.optimizers.moving_averages import inner_optimizer

# Far apart, so that the seeds of no two layers meet on different replicas.
_SEED_STRIDE = 2654435761


def evenly_split(size: tf.Tensor) -> tf.Tensor:
    """1.0 if every replica holds as many examples as any other, else 0.0.

    The mean over replicas is the mean over the batch only then.

    Args:
        size: Number of examples of the calling replica, an integer scalar.

    Returns:
        Scalar tensor, float32, equal on every replica.
    """
    context = tf.distribute.get_replica_context()
    replicas = context.num_replicas_in_sync
    if replicas == 1:
        return tf.ones([])
    own = tf.one_hot(context.replica_id_in_sync_group, replicas)
    sizes = context.all_reduce(
        tf.distribute.ReduceOp.SUM, own * tf.cast(size, "float32")
    )
    return tf.cast(tf.reduce_min(sizes) == tf.reduce_max(sizes), "float32")


def padded(data: Any) -> Any:
    """Adds one example of zeros where a replica has none.

    Many layers fail on an empty batch; `tf.reshape` to an unknown size does.

    Args:
        data: Arrays of shape (examples, ...), nested in any way.

    Returns:
        The same structure; arrays with an example are as they were.
    """

    def fill(array):
        if not isinstance(array, tf.Tensor) or array.shape[0]:
            return array
        shape = tf.shape(array)
        missing = tf.maximum(1 - shape[0], 0)
        zeros = tf.zeros(tf.concat([[missing], shape[1:]], 0), array.dtype)
        return tf.concat([array, zeros], 0)

    return keras.tree.map_structure(fill, data)


@contextlib.contextmanager
def own_random_numbers(networks: Sequence[keras.Model]) -> Iterator[None]:
    """Within it, every replica draws random numbers of its own.

    Keras starts the seed generators of all replicas alike, so that dropout
    would drop the same units of different examples. Here the replica's number
    is added to the seeds and taken away again: outside, the states are equal
    on all replicas, are saved as one, and repeat a run.

    Args:
        networks: Built Keras models; seeds that no layer holds are left as
            they are.
    """
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync == 1:
        yield
        return
    states = [state for network in networks for state in _seeds(network)]
    replica = tf.cast(context.replica_id_in_sync_group, "int64")
    shift = tf.stack([replica * _SEED_STRIDE, 0])
    for state in states:
        state.assign(state.value + tf.cast(shift, state.dtype))
    yield
    for state in states:
        state.assign(state.value - tf.cast(shift, state.dtype))


def joint_gradients(
    optimizer: keras.optimizers.Optimizer, gradients: Sequence
) -> tuple[list, tf.Tensor]:
    """Gradients that an optimizer handles alike on every replica.

    Keras sums them over the replicas late in `apply`: clipping comes before
    that, and the loss scale looks at the first replica's gradients only.

    Args:
        optimizer: A Keras optimizer, built.
        gradients: This replica's gradients; None where a variable has none.

    Returns:
        `(gradients, finite)`: what to give to `apply`, and 0.0 if the loss
        scale was too high on any replica, else 1.0. In the former case every
        replica's gradients are NaN, by which the optimizer knows.
    """
    context = tf.distribute.get_replica_context()
    replicas = context.num_replicas_in_sync
    scaled = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    present = [g is not None for g in gradients]
    found = [tf.convert_to_tensor(g) for g in gradients if g is not None]
    if not found or not (scaled or (replicas > 1 and _clips(optimizer))):
        return list(gradients), tf.ones([])
    finite = tf.ones([])
    if scaled:
        finite = all_finite(found)
        nan = float("nan")
        found = [tf.where(finite > 0, g, tf.cast(nan, g.dtype)) for g in found]
    if replicas > 1 and _clips(optimizer):
        found = context.all_reduce(tf.distribute.ReduceOp.SUM, found)
        scale = optimizer.dynamic_scale.value if scaled else None
        # Keras' own sum makes them whole again. Its clipping leaves them
        # alone, since a share of what was clipped is within the limit.
        found = [g / replicas for g in _clipped(optimizer, found, scale)]
    rest = iter(found)
    return [next(rest) if there else None for there in present], finite


def _seeds(network):
    others = {id(v) for v in [*network.weights, *network.metrics_variables]}
    return [v for v in network.variables if id(v) not in others]


def _clips(optimizer):
    inner = inner_optimizer(optimizer)
    return inner.clipnorm or inner.global_clipnorm or inner.clipvalue


def _clipped(optimizer, gradients, scale):
    """Clips gradients that are `scale` times too large, None for none."""
    inner = inner_optimizer(optimizer)
    if scale is None:
        scale = inner.loss_scale_factor or 1.0
    if inner.clipnorm:
        limit = inner.clipnorm * scale
        return [tf.clip_by_norm(g, limit) for g in gradients]
    if inner.global_clipnorm:
        limit = inner.global_clipnorm * scale
        return tf.clip_by_global_norm(gradients, limit)[0]
    limit = inner.clipvalue * scale
    return [tf.clip_by_value(g, -limit, limit) for g in gradients]


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


def finite_each(groups: Sequence[Any]) -> tf.Tensor:
    """Which of some groups of numbers are finite on every replica.

    Args:
        groups: Tensors, nested in any way, with None for none. One that is
            there several times is looked at once.

    Returns:
        Shape (groups,), float32: 1.0 for a group that is finite.
    """
    tensors = [
        [
            tensor
            for tensor in tf.nest.flatten(group, expand_composites=True)
            if tensor is not None and tensor.dtype.is_floating
        ]
        for group in groups
    ]
    found = {id(t): t for of_group in tensors for t in of_group}
    scalars = [
        key
        for key, t in found.items()
        if t.shape.rank == 0 and t.dtype == tf.float32
    ]
    known = {
        key: tf.reduce_all(tf.math.is_finite(t))
        for key, t in found.items()
        if key not in scalars
    }
    if scalars:
        # In one operation: a GPU starts each by itself.
        together = tf.math.is_finite(tf.stack([found[k] for k in scalars]))
        known.update(zip(scalars, tf.unstack(together), strict=True))
    finite = [
        functools.reduce(
            tf.logical_and, [known[id(t)] for t in of_group], tf.constant(True)
        )
        if len(of_group) != 1
        else known[id(of_group[0])]
        for of_group in tensors
    ]
    return 1.0 - tf.minimum(_over_replicas(~tf.stack(finite)), 1.0)


def _over_replicas(flag):
    count = tf.cast(flag, "float32")
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return count
    return context.all_reduce(tf.distribute.ReduceOp.SUM, count)
