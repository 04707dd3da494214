"""The ResNets for CIFAR: 6n + 2 layers, shortcuts without parameters."""

import keras

from keras_graft.models import blocks


def logits(
    images: keras.KerasTensor,
    num_classes: int,
    width: float,
    seed: int,
    depth: int,
    negative_slope: float = 0.0,
) -> keras.KerasTensor:
    """Three stages of 16, 32 and 64 filters, arXiv 1512.03385 section 4.2.

    Args:
        images: normalised, shape [batch, height, width, channels].
        num_classes: number of logits.
        width: factor on the filters.
        seed: any integer.
        depth: 6n + 2 for n blocks a stage.
        negative_slope: of the activations; above 0 they are leaky.

    Returns:
        Logits, shape [batch, num_classes].
    """
    initializers = blocks.he_normal(seed)

    def conv_bn(x, filters, strides, name):
        x = blocks.conv(x, filters, 3, strides, initializers, name)
        return blocks.batch_norm(x, f"{name}_bn")

    def relu(x, name):
        return blocks.relu(x, name, negative_slope)

    def block(x, filters, strides, name):
        residual = conv_bn(x, filters, strides, f"{name}_conv1")
        residual = relu(residual, f"{name}_relu1")
        residual = conv_bn(residual, filters, 1, f"{name}_conv2")
        x = _shortcut(x, filters, strides, f"{name}_shortcut")
        x = keras.layers.Add(name=f"{name}_add")([residual, x])
        return relu(x, f"{name}_relu2")

    x = conv_bn(images, blocks.scale_filters(16, width), 1, "stem_conv")
    x = relu(x, "stem_relu")
    for stage, filters in enumerate((16, 32, 64), start=1):
        filters = blocks.scale_filters(filters, width)
        for n in range(1, (depth - 2) // 6 + 1):
            strides = 2 if stage > 1 and n == 1 else 1
            x = block(x, filters, strides, f"stage{stage}_block{n}")
    return blocks.classifier(x, num_classes, initializers)


def _shortcut(
    x: keras.KerasTensor, filters: int, strides: int, name: str
) -> keras.KerasTensor:
    """Option A: every second pixel, zeros for the channels that are new."""
    if strides > 1:
        x = keras.layers.AveragePooling2D(
            1, strides=strides, name=f"{name}_subsample"
        )(x)
    new = filters - x.shape[-1]
    if new:
        # "channels_first" makes the layer pad the two last axes, which are
        # width and channels here.
        x = keras.layers.ZeroPadding2D(
            ((0, 0), (new // 2, new - new // 2)),
            data_format="channels_first",
            name=f"{name}_pad",
        )(x)
    return x
