"""Gradients of convolutions that need less memory, and on a CPU less time."""

import contextlib
from collections.abc import Iterator

import tensorflow as tf

from keras_graft.acceleration.recomputation import recomputed

_NAMES = {
    "Conv2D": "KerasGraftConv2D",
    "DepthwiseConv2dNative": "KerasGraftDepthwiseConv2D",
}


@contextlib.contextmanager
def convolution_gradients() -> Iterator[None]:
    """Within it, convolutions of the graph in the making have them.

    They equal TensorFlow's up to rounding, and differ in three things. The
    gradient to the kernel comes before that to the inputs, so that less waits
    for it. It reads activations of a `recomputation`. And that of a strided
    depthwise convolution in bfloat16 to its inputs is computed in float32.

    Only a function that is differentiated as a whole takes notice: a tape goes
    by the kind of an operation, not by its gradient's name.
    """
    graph = tf.compat.v1.get_default_graph()
    # Names, not `tf.custom_gradient`: that makes a function of its own in
    # every trace, and networks would no longer share one.
    with graph.gradient_override_map(_NAMES):
        yield


@tf.RegisterGradient(_NAMES["Conv2D"])
def _convolution(op, upstream):
    return _gradients(
        op,
        upstream,
        tf.raw_ops.Conv2DBackpropInput,
        tf.raw_ops.Conv2DBackpropFilter,
    )


@tf.RegisterGradient(_NAMES["DepthwiseConv2dNative"])
def _depthwise_convolution(op, upstream):
    return _gradients(
        op,
        upstream,
        _depthwise_to_inputs,
        tf.raw_ops.DepthwiseConv2dNativeBackpropFilter,
    )


def _depthwise_to_inputs(*, filter, out_backprop, strides, **settings):
    """In bfloat16 with strides by float32: oneDNN takes eight times as long."""
    dtype = out_backprop.dtype
    by_float32 = dtype == tf.bfloat16 and max(strides) > 1
    compute_dtype = tf.float32 if by_float32 else dtype
    to_inputs = tf.raw_ops.DepthwiseConv2dNativeBackpropInput(
        filter=tf.cast(filter, compute_dtype),
        out_backprop=tf.cast(out_backprop, compute_dtype),
        strides=strides,
        **settings,
    )
    return tf.cast(to_inputs, dtype)


def _gradients(op, upstream, inputs_op, kernel_op):
    inputs, kernel = recomputed(op.inputs[0], upstream), op.inputs[1]
    settings = _settings(op)
    to_kernel = kernel_op(
        input=inputs,
        filter_sizes=tf.shape(kernel),
        out_backprop=upstream,
        **settings,
    )
    to_inputs = inputs_op(
        input_sizes=tf.shape(inputs),
        filter=kernel,
        out_backprop=upstream,
        **settings,
    )
    return to_inputs, to_kernel


def _settings(op):
    names = (
        "strides",
        "padding",
        "explicit_paddings",
        "data_format",
        "dilations",
    )
    return {name: op.get_attr(name) for name in names}
