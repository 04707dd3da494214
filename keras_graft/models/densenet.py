"""The DenseNets for CIFAR: each layer sees all layers of its block."""

import keras

from keras_graft.models import blocks

_BLOCKS = 3
# A layer with a bottleneck makes four times its filters first.
_BOTTLENECK = 4


def logits(
    images: keras.KerasTensor,
    num_classes: int,
    width: float,
    seed: int,
    depth: int,
    growth: int,
    bottleneck: bool,
) -> keras.KerasTensor:
    """Three dense blocks, arXiv 1608.06993 section 3.

    With `bottleneck` it is the paper's DenseNet-BC: 1x1 convolutions before
    those of 3x3, and transitions that halve the channels. Without dropout,
    which the paper has where it does not augment.

    Args:
        images: normalised, shape [batch, height, width, channels].
        num_classes: number of logits.
        width: factor on the growth.
        seed: any integer.
        depth: 3n + 4 for n layers a block, 6n + 4 with `bottleneck`.
        growth: filters that each layer adds, the paper's k.
        bottleneck: whether it is a DenseNet-BC.

    Returns:
        Logits, shape [batch, num_classes].
    """
    initializers = blocks.he_normal(seed)
    growth = blocks.scale_filters(growth, width)
    layers = (depth - _BLOCKS - 1) // (_BLOCKS * (2 if bottleneck else 1))
    stem = 2 * growth if bottleneck else blocks.scale_filters(16, width)

    def bn_relu_conv(x, filters, kernel_size, name):
        x = blocks.batch_norm(x, f"{name}_bn")
        x = blocks.relu(x, f"{name}_relu")
        return blocks.conv(x, filters, kernel_size, 1, initializers, name)

    def layer(x, name):
        new = x
        if bottleneck:
            new = bn_relu_conv(new, _BOTTLENECK * growth, 1, f"{name}_conv1")
        new = bn_relu_conv(new, growth, 3, f"{name}_conv{1 + bottleneck}")
        return keras.layers.Concatenate(name=f"{name}_concat")([x, new])

    x = blocks.conv(images, stem, 3, 1, initializers, "stem_conv")
    for n in range(1, _BLOCKS + 1):
        for k in range(1, layers + 1):
            x = layer(x, f"block{n}_layer{k}")
        if n < _BLOCKS:
            kept = x.shape[-1] // (2 if bottleneck else 1)
            x = bn_relu_conv(x, max(1, kept), 1, f"transition{n}_conv")
            # What has shrunk to one pixel stays one pixel.
            x = keras.layers.AveragePooling2D(
                2, padding="same", name=f"transition{n}_pool"
            )(x)
    x = blocks.batch_norm(x, "head_bn")
    x = blocks.relu(x, "head_relu")
    return blocks.classifier(x, num_classes, initializers)
