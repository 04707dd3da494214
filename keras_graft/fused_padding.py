"""Zero padding as a part of the convolution that reads it.

A padded copy of the activations lies in memory until the backward pass has
used it, beside the activations themselves. TensorFlow's convolution can pad
on its own, without the copy. On a CPU its gradient to the kernel then leaves
oneDNN and is slower than with a copy made for a moment: it has its own there.
"""

import contextlib
from collections.abc import Iterator
from collections.abc import Sequence

import keras
import tensorflow as tf

from keras_graft.layer_graph import connections

Pair = tuple[keras.layers.ZeroPadding2D, keras.layers.Conv2D]

_GRADIENT = "KerasGraftPaddedConv2D"


@contextlib.contextmanager
def fused_padding(networks: Sequence[keras.Model]) -> Iterator[None]:
    """Within it, convolutions pad what `ZeroPadding2D` would have padded.

    The networks' outputs and gradients are the same up to rounding; only the
    output of a padding layer is its input. What is saved knows nothing of it.
    The gradient to the kernel is TensorFlow's, slower, where a convolution is
    called outside of a function that is differentiated as a whole.

    Args:
        networks: Built Keras models; see `padded_convolutions`.
    """
    pairs = [pair for n in networks for pair in padded_convolutions(n)]
    try:
        for pad, convolution in pairs:
            # Past Keras' `__setattr__`, which would track the functions.
            vars(pad)["call"] = lambda inputs: inputs
            vars(convolution)["convolution_op"] = _padding_op(pad, convolution)
        yield
    finally:
        for pad, convolution in pairs:
            vars(pad).pop("call", None)
            vars(convolution).pop("convolution_op", None)


def padded_convolutions(network: keras.Model) -> list[Pair]:
    """Pairs of a padding layer and the convolution that can pad in its place.

    It is so for exactly Keras' classes, with the channels last, where nothing
    else reads the padded activations and the convolution reads nothing else.
    A network without a graph has none.

    Args:
        network: A built Keras model.
    """
    edges, outputs = connections(network)
    kept = {id(layer) for layer in outputs}
    return [
        (layer, reader)
        for layer, reader in edges
        if _only_pads(layer)
        and _can_pad(reader)
        and id(layer) not in kept
        and sum(source is layer for source, _ in edges) == 1
        and sum(taker is reader for _, taker in edges) == 1
    ]


def _only_pads(layer):
    return (
        type(layer) is keras.layers.ZeroPadding2D
        and layer.data_format == "channels_last"
        and "call" not in vars(layer)
    )


def _can_pad(layer):
    return (
        type(layer) is keras.layers.Conv2D
        and layer.data_format == "channels_last"
        and layer.padding == "valid"
        and layer.groups == 1
        # TensorFlow has no gradient of a dilated one on a CPU.
        and layer.dilation_rate == (1, 1)
        and "convolution_op" not in vars(layer)
    )


def _padding_op(pad, convolution):
    padding = [(0, 0), *pad.padding, (0, 0)]

    def convolution_op(inputs, kernel):
        # A name, not `tf.custom_gradient`: that makes a function of its own in
        # every trace, and networks would no longer share one.
        graph = tf.compat.v1.get_default_graph()
        on_gpu = tf.config.list_physical_devices("GPU")
        own = {} if on_gpu else {"Conv2D": _GRADIENT}
        with graph.gradient_override_map(own):
            return tf.nn.conv2d(
                inputs,
                keras.ops.convert_to_tensor(kernel),
                strides=convolution.strides,
                padding=padding,
            )

    return convolution_op


@tf.RegisterGradient(_GRADIENT)
def _gradients(op, upstream):
    inputs, kernel = op.inputs
    strides = op.get_attr("strides")
    # Before and after, axis by axis.
    pads = op.get_attr("explicit_paddings")
    to_inputs = tf.raw_ops.Conv2DBackpropInput(
        input_sizes=tf.shape(inputs),
        filter=kernel,
        out_backprop=upstream,
        strides=strides,
        padding="EXPLICIT",
        explicit_paddings=pads,
    )
    to_kernel = tf.raw_ops.Conv2DBackpropFilter(
        input=tf.pad(inputs, list(zip(pads[::2], pads[1::2], strict=True))),
        filter_sizes=tf.shape(kernel),
        out_backprop=upstream,
        strides=strides,
        padding="VALID",
    )
    return to_inputs, to_kernel
