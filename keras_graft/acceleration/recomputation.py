"""Activations that the backward pass computes again instead of keeping them.

Of a ReLU between BatchNormalization and a convolution, two tensors of one size
wait for the backward pass: what was normalised, for its own gradient, and what
came out, for the convolution's. The second is one pass away from the first, so
only the first is kept (arXiv 1604.06174, section 3; of a training step's
operations, those are the cheapest to repeat).
"""

import contextlib
from collections.abc import Iterator

import tensorflow as tf

_RELUS = {"Relu": "KerasGraftRelu", "Relu6": "KerasGraftRelu6"}
# What reads its input by `recomputed`, see `convolution_gradients`.
_READERS = {"Conv2D", "DepthwiseConv2dNative"}
_MADE = "keras_graft_recomputed"


@contextlib.contextmanager
def recomputation() -> Iterator[None]:
    """Within it, the graph in the making keeps no more than it needs.

    It needs `convolution_gradients` beside it, and a function that is
    differentiated as a whole: a tape over single operations keeps all.
    """
    graph = tf.compat.v1.get_default_graph()
    with graph.gradient_override_map(_RELUS):
        yield


def recomputed(activations: tf.Tensor, upstream: tf.Tensor) -> tf.Tensor:
    """The activations, computed again where that is cheap.

    Args:
        activations: A tensor of the forward pass.
        upstream: The gradient that is to be multiplied with them. They are
            not computed before it is there: early, they would be as large as
            if they had been kept.

    Returns:
        Activations of the same values up to rounding; the given ones, if they
        are not the output of a ReLU in a `recomputation` that follows
        TensorFlow's fused batch normalisation and is read by convolutions
        alone.
    """
    relu = activations.op
    if not _can_repeat(relu):
        return activations
    # Of the graph itself, so that both go together.
    made = tf.compat.v1.get_default_graph().get_collection_ref(_MADE)
    for kept, again in made:
        if kept is activations:
            return again
    with tf.control_dependencies([upstream]):
        again = getattr(tf.raw_ops, relu.type)(
            features=_normalised(relu.inputs[0].op)
        )
    made.append((activations, again))
    return again


def _can_repeat(relu):
    return (
        relu.type in _RELUS
        and _gradient_name(relu) == _RELUS[relu.type]
        and relu.inputs[0].op.type == "FusedBatchNormV3"
        # Else its statistics are not those that it normalised with.
        and relu.inputs[0].op.get_attr("exponential_avg_factor") == 1.0
        # Other readers may keep it anyway.
        and {reader.type for reader in relu.outputs[0].consumers()} <= _READERS
    )


def _gradient_name(operation):
    try:
        return operation.get_attr("_gradient_op_type").decode()
    except ValueError:
        return None


def _normalised(normalisation):
    """The output of a batch normalisation, by the statistics that it used."""
    x, scale, offset, mean, variance = normalisation.inputs
    if normalisation.get_attr("is_training"):
        mean = normalisation.outputs[1]
        # The operation returns the unbiased one, and does not use it.
        size = tf.cast(tf.size(x) // tf.size(mean), variance.dtype)
        variance = normalisation.outputs[2] * ((size - 1.0) / size)
    return tf.raw_ops.FusedBatchNormV3(
        x=x,
        scale=scale,
        offset=offset,
        mean=mean,
        variance=variance,
        epsilon=normalisation.get_attr("epsilon"),
        data_format=normalisation.get_attr("data_format"),
        is_training=False,
    ).y


@tf.RegisterGradient(_RELUS["Relu"])
def _relu(op, upstream):
    return tf.raw_ops.ReluGrad(
        gradients=upstream, features=recomputed(op.outputs[0], upstream)
    )


@tf.RegisterGradient(_RELUS["Relu6"])
def _relu6(op, upstream):
    return tf.raw_ops.Relu6Grad(
        gradients=upstream, features=recomputed(op.outputs[0], upstream)
    )
