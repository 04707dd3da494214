"""MobileNetV2 for small images, as the reference has it."""

import keras

from keras_graft.models import blocks

# Of each stage: expansion, filters, blocks, strides of the first block.
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 1),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def logits(
    images: keras.KerasTensor, num_classes: int, width: float, seed: int
) -> keras.KerasTensor:
    """Seventeen inverted residuals, arXiv 1801.04381 table 2.

    It departs from the paper as the reference does, for images of 32 pixels:
    strides 1 in the stem and the second stage, ReLU in the place of ReLU6, and
    a convolution in the shortcut where only the number of channels changes.

    Args:
        images: normalised, shape [batch, height, width, channels].
        num_classes: number of logits.
        width: factor on the filters, stem and head included, not rounded to
            multiples of 8.
        seed: any integer.

    Returns:
        Logits, shape [batch, num_classes].
    """
    initializers = blocks.default_uniform(seed)

    def conv_bn(x, filters, kernel_size, name):
        x = blocks.conv(x, filters, kernel_size, 1, initializers, name)
        return blocks.batch_norm(x, f"{name}_bn")

    def block(x, expansion, filters, strides, name):
        channels = x.shape[-1]
        residual = conv_bn(x, expansion * channels, 1, f"{name}_expand")
        residual = blocks.relu(residual, f"{name}_expand_relu")
        depthwise = f"{name}_depthwise"
        residual = blocks.depthwise_conv(
            residual, 3, strides, initializers, depthwise
        )
        residual = blocks.batch_norm(residual, f"{depthwise}_bn")
        residual = blocks.relu(residual, f"{depthwise}_relu")
        residual = conv_bn(residual, filters, 1, f"{name}_project")
        if strides > 1:
            return residual
        if channels != filters:
            x = conv_bn(x, filters, 1, f"{name}_shortcut")
        return keras.layers.Add(name=f"{name}_add")([residual, x])

    x = conv_bn(images, blocks.scale_filters(32, width), 3, "stem_conv")
    x = blocks.relu(x, "stem_relu")
    for stage, (expansion, filters, num_blocks, strides) in enumerate(
        _STAGES, start=1
    ):
        filters = blocks.scale_filters(filters, width)
        for n in range(1, num_blocks + 1):
            name = f"stage{stage}_block{n}"
            x = block(x, expansion, filters, strides if n == 1 else 1, name)
    x = conv_bn(x, blocks.scale_filters(1280, width), 1, "head_conv")
    x = blocks.relu(x, "head_relu")
    return blocks.classifier(x, num_classes, initializers)
