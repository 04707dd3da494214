"""Optimizers that make the same update share one function."""

from collections.abc import Callable
from collections.abc import Sequence

import keras
import tensorflow as tf

from keras_graft.optimizers.network_optimizers import told_by_config


def update_of_each(
    update: Callable[..., tf.Tensor],
    networks: Sequence[keras.Model],
    optimizers: Sequence[keras.optimizers.Optimizer],
    shared: bool,
) -> Callable[..., tf.Tensor]:
    """`update` for network k, traced once where all would be traced alike.

    Args:
        update: Called with a network, its optimizer and what follows k;
            returns a tensor.
        networks: N models.
        optimizers: Their optimizers, built.
        shared: Whether the networks compute the same.

    Returns:
        A function of k and what else `update` takes, which returns the same.
    """
    trace = None

    def plain(k, *given):
        return update(networks[k], optimizers[k], *given)

    # TensorFlow would otherwise copy its operations into the caller's graph.
    @tf.function(autograph=False, experimental_attributes={"_noinline": True})
    def of_first(*given):
        return plain(0, *given)

    def through_one_function(k, *given):
        nonlocal trace
        trace = trace or of_first.get_concrete_function(*given)
        keys = [handle.ref() for handle in handles(0)]
        own = dict(zip(keys, handles(k), strict=True))
        captures = [
            own[t.ref()] if t.dtype == tf.resource else t
            for t in trace.captured_inputs
        ]
        return trace.inference_fn.call_with_captures(given, {}, captures)

    def handles(k):
        variables = [*networks[k].variables, *optimizers[k].variables]
        return [variable.value.handle for variable in variables]

    if shared and told_by_config(optimizers, networks):
        return through_one_function
    return plain
