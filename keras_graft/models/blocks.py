"""What the families share: seeded layers with the reference's settings.

Every function takes the name of its layer. Names are the only identity that a
layer has here: its initial weights are drawn from the network's seed and its
name, so they depend neither on Keras' counters nor on what was built before.
"""

import functools
import hashlib
from collections.abc import Callable

import keras

# From the name of a layer to the initialiser of its kernel.
Initializers = Callable[..., keras.initializers.Initializer]


def he_normal(seed: int) -> Initializers:
    """Normal with variance 2 / fan_in, PyTorch's `kaiming_normal_`.

    Not Keras' `he_normal`, which cuts off the tails: the range of a kernel is
    what its entropy is measured over.
    """
    return functools.partial(_variance_scaling, seed, 2.0, "untruncated_normal")


def default_uniform(seed: int) -> Initializers:
    """Uniform between +-1 / sqrt(fan_in), what PyTorch does when not told."""
    return functools.partial(_variance_scaling, seed, 1 / 3, "uniform")


def _variance_scaling(
    seed: int, scale: float, distribution: str, layer: str, **axes: tuple
) -> keras.initializers.Initializer:
    digest = hashlib.blake2b(f"{seed}/{layer}".encode(), digest_size=4).digest()
    return keras.initializers.VarianceScaling(
        scale,
        "fan_in",
        distribution,
        seed=int.from_bytes(digest, "big") >> 1,
        **axes,
    )


def scale_filters(filters: int, width: float) -> int:
    """Returns `width` times `filters`, rounded, at least 1."""
    return max(1, round(filters * width))


def conv(
    x: keras.KerasTensor,
    filters: int,
    kernel_size: int,
    strides: int,
    initializers: Initializers,
    name: str,
    groups: int = 1,
) -> keras.KerasTensor:
    """Convolution without bias, padded by half a kernel on every side."""
    x, padding = _pad(x, kernel_size, strides, name)
    return keras.layers.Conv2D(
        filters,
        kernel_size,
        strides=strides,
        padding=padding,
        groups=groups,
        use_bias=False,
        kernel_initializer=initializers(name),
        name=name,
    )(x)


def depthwise_conv(
    x: keras.KerasTensor,
    kernel_size: int,
    strides: int,
    initializers: Initializers,
    name: str,
) -> keras.KerasTensor:
    """One filter a channel, without bias, padded like `conv`."""
    x, padding = _pad(x, kernel_size, strides, name)
    return keras.layers.DepthwiseConv2D(
        kernel_size,
        strides=strides,
        padding=padding,
        use_bias=False,
        # A filter here sees one channel, where Keras counts all of them as
        # fan_in: the filters would start near zero, as invalid ones.
        depthwise_initializer=initializers(
            name, input_axes=(0, 1), output_axes=(0, 1, 3)
        ),
        name=name,
    )(x)


def _pad(
    x: keras.KerasTensor, kernel_size: int, strides: int, name: str
) -> tuple[keras.KerasTensor, str]:
    """Returns the input of a convolution and its `padding`."""
    if strides == 1 or kernel_size == 1:
        return x, "same"
    # "same" pads (0, 1) at stride 2, the reference (1, 1).
    pad = keras.layers.ZeroPadding2D(kernel_size // 2, name=f"{name}_pad")
    return pad(x), "valid"


def batch_norm(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Batch normalisation over the batches of all replicas."""
    # Without `synchronized` the moving statistics of replicas drift apart, and
    # a saved network holds those of the first.
    return keras.layers.BatchNormalization(
        momentum=0.9, epsilon=1e-5, synchronized=True, name=name
    )(x)


def relu(
    x: keras.KerasTensor, name: str, negative_slope: float = 0.0
) -> keras.KerasTensor:
    """ReLU, leaky if `negative_slope` is above 0."""
    if negative_slope:
        return keras.layers.LeakyReLU(negative_slope, name=name)(x)
    return keras.layers.ReLU(name=name)(x)


def classifier(
    x: keras.KerasTensor, num_classes: int, initializers: Initializers
) -> keras.KerasTensor:
    """Global average pooling and a dense layer: logits, always in float32."""
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.layers.Dense(
        num_classes,
        kernel_initializer=initializers("logits"),
        dtype="float32",
        name="logits",
    )(x)
