"""Zero padding as a part of the convolution that reads it.

A padded copy of the activations lies in memory until the backward pass has
used it, beside the activations themselves. TensorFlow's convolution can pad
on its own, without the copy.
"""

import contextlib
from collections.abc import Iterator
from collections.abc import Sequence

import keras
import tensorflow as tf

from keras_graft.structure.connections import connections

Pair = tuple[keras.layers.ZeroPadding2D, keras.layers.Conv2D]


@contextlib.contextmanager
def fused_padding(networks: Sequence[keras.Model]) -> Iterator[None]:
    """Within it, convolutions pad what `ZeroPadding2D` would have padded.

    The networks' outputs and gradients are the same up to rounding; only the
    output of a padding layer is its input. What is saved knows nothing of it.
    On a CPU the gradient to the kernel is slower than with a copy, but for
    `convolution_gradients`.

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
    else reads the padded activations and the convolution reads nothing else;
    not in bfloat16 on a CPU. A network without a graph has none.

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
        # For gradients that pad TensorFlow leaves oneDNN, and on a CPU takes
        # up to 40 times as long in bfloat16.
        and (
            layer.compute_dtype != "bfloat16"
            or bool(tf.config.list_physical_devices("GPU"))
        )
        # TensorFlow has no gradient of a dilated one on a CPU.
        and layer.dilation_rate == (1, 1)
        and "convolution_op" not in vars(layer)
    )


def _padding_op(pad, convolution):
    padding = [(0, 0), *pad.padding, (0, 0)]

    def convolution_op(inputs, kernel):
        return tf.nn.conv2d(
            inputs,
            keras.ops.convert_to_tensor(kernel),
            strides=convolution.strides,
            padding=padding,
        )

    return convolution_op
