"""The ResNets for ImageNet: a stem of stride 4, then four stages.

For images of about 224 pixels. Their first stage sees a sixteenth of the
pixels, where that of the CIFAR ResNets sees them all.
"""

import keras

from keras_graft.models import blocks

# Blocks of each stage, and whether they are bottlenecks.
_DEPTHS = {
    18: ((2, 2, 2, 2), False),
    34: ((3, 4, 6, 3), False),
    50: ((3, 4, 6, 3), True),
}
# A bottleneck ends with four times the filters that it has within.
_EXPANSION = 4


def logits(
    images: keras.KerasTensor,
    num_classes: int,
    width: float,
    seed: int,
    depth: int,
) -> keras.KerasTensor:
    """Stages of 64, 128, 256 and 512 filters, arXiv 1512.03385 section 4.1.

    Shortcuts are projections where the shape changes (option B), and a
    bottleneck has its stride in the 3x3 convolution: the "ResNet v1.5" of
    torchvision, whose numbers of parameters these are.

    Args:
        images: normalised, shape [batch, height, width, channels].
        num_classes: number of logits.
        width: factor on the filters.
        seed: any integer.
        depth: 18, 34 or 50.

    Returns:
        Logits, shape [batch, num_classes].
    """
    initializers = blocks.he_normal(seed)
    counts, bottleneck = _DEPTHS[depth]

    def conv_bn(x, filters, kernel_size, strides, name):
        x = blocks.conv(x, filters, kernel_size, strides, initializers, name)
        return blocks.batch_norm(x, f"{name}_bn")

    def block(x, filters, strides, name):
        # The stride is in the first 3x3 convolution.
        sizes = (1, 3, 1) if bottleneck else (3, 3)
        outgoing = filters * (_EXPANSION if bottleneck else 1)
        residual = x
        for i, size in enumerate(sizes, start=1):
            last = i == len(sizes)
            residual = conv_bn(
                residual,
                outgoing if last else filters,
                size,
                strides if i == sizes.index(3) + 1 else 1,
                f"{name}_conv{i}",
            )
            if not last:
                residual = blocks.relu(residual, f"{name}_relu{i}")
        if strides > 1 or x.shape[-1] != outgoing:
            x = conv_bn(x, outgoing, 1, strides, f"{name}_shortcut")
        x = keras.layers.Add(name=f"{name}_add")([residual, x])
        return blocks.relu(x, f"{name}_relu{len(sizes)}")

    x = conv_bn(images, blocks.scale_filters(64, width), 7, 2, "stem_conv")
    x = blocks.relu(x, "stem_relu")
    # A ReLU gives nothing below these zeros.
    x = keras.layers.ZeroPadding2D(1, name="stem_pool_pad")(x)
    x = keras.layers.MaxPooling2D(3, 2, name="stem_pool")(x)
    for stage, count in enumerate(counts, start=1):
        filters = blocks.scale_filters(64 * 2 ** (stage - 1), width)
        for n in range(1, count + 1):
            strides = 2 if stage > 1 and n == 1 else 1
            x = block(x, filters, strides, f"stage{stage}_block{n}")
    return blocks.classifier(x, num_classes, initializers)
