"""The stock BatchNormalization layer on TensorFlow's fused operation.

Keras 3 composes batch normalisation of elementwise operations, which read and
write the activations many times. TensorFlow's fused operation, with a gradient
of its own, computes the same in fewer passes.
"""

import contextlib
from collections.abc import Iterator
from collections.abc import Sequence

import keras
import tensorflow as tf

from keras_graft.structure.conv_layers import leaf_layers

_CHANNELS_OF_A_REGISTER = 16


@contextlib.contextmanager
def fused_batch_norm(networks: Sequence[keras.Model]) -> Iterator[None]:
    """Within it, calls of the networks normalise with the fused operation.

    The layers keep their variables and their class: outputs, gradients and
    moving statistics are those of the stock layer up to rounding, and what is
    saved knows nothing of it. A layer that the operation cannot replace (see
    `can_fuse`) runs as it is. Statistics are those of the calling replica.

    Args:
        networks: Built Keras models.
    """
    layers = [
        layer
        for network in networks
        for _, layer in leaf_layers(network)
        if can_fuse(layer)
    ]
    try:
        for layer in layers:
            # Past Keras' `__setattr__`, which would track the function.
            vars(layer)["call"] = _fused_call(layer)
        yield
    finally:
        for layer in layers:
            vars(layer).pop("call", None)


def can_fuse(layer: keras.layers.Layer) -> bool:
    """Whether the fused operation computes what this layer does.

    It is so for exactly Keras' class, over the last of four axes, without
    renormalisation.
    """
    return (
        type(layer) is keras.layers.BatchNormalization
        and layer.built
        and layer.input_spec.ndim == 4
        and layer.axis in (-1, 3)
        and not layer.renorm
        and layer.variable_dtype == "float32"
        and layer.compute_dtype in ("float32", "bfloat16", "float16")
        and "call" not in vars(layer)
    )


def _fused_call(layer):
    stock = layer.call
    dtype = _dtype_of_operation(layer)

    def call(inputs, training=None, mask=None):
        if mask is not None or isinstance(inputs, keras.KerasTensor):
            return stock(inputs, training=training, mask=mask)
        channels = layer.moving_mean.shape
        gamma = layer.gamma.value if layer.scale else tf.ones(channels)
        beta = layer.beta.value if layer.center else tf.zeros(channels)
        batch_statistics = bool(training) and layer.trainable
        # In training the operation asks for no statistics, and returns them.
        mean, variance = tf.constant([]), tf.constant([])
        if not batch_statistics:
            mean = layer.moving_mean.value
            variance = layer.moving_variance.value
        normalised = tf.raw_ops.FusedBatchNormV3(
            x=tf.cast(inputs, dtype),
            scale=gamma,
            offset=beta,
            mean=mean,
            variance=variance,
            epsilon=layer.epsilon,
            is_training=batch_statistics,
        )
        if batch_statistics:
            size = tf.size(inputs) // inputs.shape[-1]
            _move(layer.moving_mean, normalised.batch_mean, layer.momentum)
            _move(
                layer.moving_variance,
                _biased(normalised.batch_variance, size),
                layer.momentum,
            )
        return tf.cast(normalised.y, layer.compute_dtype)

    return call


def _dtype_of_operation(layer):
    """The layer's own, unless a CPU is ten times as fast with float32.

    oneDNN has no quick kernel for bfloat16 where channels do not fill its
    registers.
    """
    slow = (
        layer.compute_dtype == "bfloat16"
        and layer.moving_mean.shape[0] % _CHANNELS_OF_A_REGISTER
        and not tf.config.list_physical_devices("GPU")
    )
    return "float32" if slow else layer.compute_dtype


def _move(statistic, value, momentum):
    statistic.assign(statistic.value * momentum + value * (1.0 - momentum))


def _biased(variance, size):
    """Divides by the size as Keras does; the operation divides by one less."""
    size = tf.cast(size, variance.dtype)
    return variance * ((size - 1.0) / size)
