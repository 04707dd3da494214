"""The ResNeXts for CIFAR: bottlenecks whose convolution is in groups."""

import keras

from keras_graft.models import blocks

_BLOCKS_PER_STAGE = 3


def logits(
    images: keras.KerasTensor,
    num_classes: int,
    width: float,
    seed: int,
    cardinality: int,
    group_filters: int = 64,
) -> keras.KerasTensor:
    """Three stages of three blocks, arXiv 1611.05431 section 5.2.

    Shortcuts are projections where the shape changes, and the stride is in
    the convolution of 3x3.

    Args:
        images: normalised, shape [batch, height, width, channels].
        num_classes: number of logits.
        width: factor on the filters, those of a group included.
        seed: any integer.
        cardinality: groups of the convolutions of 3x3.
        group_filters: filters of a group in the first stage.

    Returns:
        Logits, shape [batch, num_classes].
    """
    initializers = blocks.he_normal(seed)

    def conv_bn(x, filters, kernel_size, strides, name, groups=1):
        x = blocks.conv(
            x, filters, kernel_size, strides, initializers, name, groups
        )
        return blocks.batch_norm(x, f"{name}_bn")

    def block(x, stage, strides, name):
        outgoing = blocks.scale_filters(256 * 2 ** (stage - 1), width)
        inner = cardinality * blocks.scale_filters(
            group_filters * 2 ** (stage - 1), width
        )
        residual = conv_bn(x, inner, 1, 1, f"{name}_conv1")
        residual = blocks.relu(residual, f"{name}_relu1")
        residual = conv_bn(
            residual, inner, 3, strides, f"{name}_conv2", cardinality
        )
        residual = blocks.relu(residual, f"{name}_relu2")
        residual = conv_bn(residual, outgoing, 1, 1, f"{name}_conv3")
        if strides > 1 or x.shape[-1] != outgoing:
            x = conv_bn(x, outgoing, 1, strides, f"{name}_shortcut")
        x = keras.layers.Add(name=f"{name}_add")([residual, x])
        return blocks.relu(x, f"{name}_relu3")

    x = conv_bn(images, blocks.scale_filters(64, width), 3, 1, "stem_conv")
    x = blocks.relu(x, "stem_relu")
    for stage in (1, 2, 3):
        for n in range(1, _BLOCKS_PER_STAGE + 1):
            strides = 2 if stage > 1 and n == 1 else 1
            x = block(x, stage, strides, f"stage{stage}_block{n}")
    return blocks.classifier(x, num_classes, initializers)
