"""WRN-28-10: a ResNet that is wide and activates before it convolves."""

import keras

from keras_graft.models import blocks

_BLOCKS_PER_STAGE = 4


def logits(
    images: keras.KerasTensor, num_classes: int, width: float, seed: int
) -> keras.KerasTensor:
    """Three stages of 160, 320 and 640 filters, arXiv 1605.07146 table 1.

    Without dropout, as in the reference.

    Args:
        images: normalised, shape [batch, height, width, channels].
        num_classes: number of logits.
        width: factor on the filters, the stem's 16 excepted.
        seed: any integer.

    Returns:
        Logits, shape [batch, num_classes].
    """
    initializers = blocks.he_normal(seed)

    def bn_relu(x, name, n=""):
        x = blocks.batch_norm(x, f"{name}_bn{n}")
        return blocks.relu(x, f"{name}_relu{n}")

    def conv(x, filters, kernel_size, strides, name):
        return blocks.conv(x, filters, kernel_size, strides, initializers, name)

    def block(x, filters, strides, name):
        activated = bn_relu(x, name, 1)
        if x.shape[-1] != filters or strides > 1:
            x = conv(activated, filters, 1, strides, f"{name}_shortcut")
        residual = conv(activated, filters, 3, strides, f"{name}_conv1")
        residual = bn_relu(residual, name, 2)
        residual = conv(residual, filters, 3, 1, f"{name}_conv2")
        return keras.layers.Add(name=f"{name}_add")([residual, x])

    x = conv(images, 16, 3, 1, "stem_conv")
    for stage, filters in enumerate((160, 320, 640), start=1):
        filters = blocks.scale_filters(filters, width)
        for n in range(1, _BLOCKS_PER_STAGE + 1):
            strides = 2 if stage > 1 and n == 1 else 1
            x = block(x, filters, strides, f"stage{stage}_block{n}")
    return blocks.classifier(bn_relu(x, "head"), num_classes, initializers)
