"""VGG-16 for small images: batch normalisation, one dense layer."""

import keras

from keras_graft.models import blocks

_STAGES = (
    (64, 64),
    (128, 128),
    (256, 256, 256),
    (512, 512, 512),
    (512, 512, 512),
)


def logits(
    images: keras.KerasTensor, num_classes: int, width: float, seed: int
) -> keras.KerasTensor:
    """Thirteen convolutions, arXiv 1409.1556 table 1 column D.

    The convolutions have no bias, which batch normalisation would cancel. A
    pool rounds sizes up, so that images of fewer than 32 pixels pass too: what
    has shrunk to one pixel stays one pixel.

    Args:
        images: normalised, shape [batch, height, width, channels].
        num_classes: number of logits.
        width: factor on the filters.
        seed: any integer.

    Returns:
        Logits, shape [batch, num_classes].
    """
    initializers = blocks.default_uniform(seed)
    x = images
    for stage, convs in enumerate(_STAGES, start=1):
        for n, filters in enumerate(convs, start=1):
            filters = blocks.scale_filters(filters, width)
            name = f"stage{stage}_conv{n}"
            x = blocks.conv(x, filters, 3, 1, initializers, name)
            x = blocks.batch_norm(x, f"{name}_bn")
            x = blocks.relu(x, f"{name}_relu")
        x = keras.layers.MaxPooling2D(
            2, padding="same", name=f"stage{stage}_pool"
        )(x)
    return blocks.classifier(x, num_classes, initializers)
