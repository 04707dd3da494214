"""TrivialAugment (arXiv 2103.10158) of Keras' layers.

Each image gets one of fourteen operations with one of 31 magnitudes, all with
equal chances: the paper's wide space. Beside the paper, what
comes from outside of an image is reflected rather than black, and brightness
and contrast leave fractions.
"""

import tensorflow as tf

from keras_graft.data import image_operations
from keras_graft.data import order
from keras_graft.data.operation_space import operation_space
from keras_graft.data.operation_space import unchanged

_LEVELS = 31
# Pixels that an image is moved by at most, and its own size at most.
_MOST_MOVED = 32


def trivial(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Changes every image by one operation of a magnitude of its own.

    Args:
        images: float32, pixels 0 to 255, shape [batch, height, width,
            channels], 1 or 3 channels.
        seed: Seed pair, int64, shape [2].

    Returns:
        Images of the same shape and range, float32.
    """
    image_operations.make_layers()
    choices, magnitudes, signs = draw_trivial(tf.shape(images)[0], seed)
    return _changed(images, choices, magnitudes, signs)


def draw_trivial(
    batch_size: int | tf.Tensor, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Draws what `trivial` does to each image.

    Args:
        batch_size: Number of images.
        seed: Seed pair.

    Returns:
        Position in `OPERATIONS`, int32, shape [batch]; magnitude, float32,
        one of 0, 1/30 ... 1; sign, -1.0 or 1.0, each of shape [batch, 1, 1,
        1].
    """

    def below(bound, index):
        return tf.random.stateless_uniform(
            [batch_size],
            order.fold_in(seed, index),
            maxval=bound,
            dtype=tf.int32,
        )

    def for_pixels(whole):
        return tf.cast(whole, tf.float32)[:, None, None, None]

    magnitudes = for_pixels(below(_LEVELS, 1)) / (_LEVELS - 1)
    signs = 2.0 * for_pixels(below(2, 2)) - 1.0
    return below(len(OPERATIONS), 0), magnitudes, signs


# Fourteen operations are traced once and not anew for every network.
@tf.function
def _changed(images, choices, magnitudes, signs):
    return image_operations.each_by_one(
        list(OPERATIONS.values()), choices, images, magnitudes, signs
    )


def _color(images, magnitudes, signs):
    return image_operations.degenerate_color(images, 0.99 * magnitudes * signs)


def _contrast(images, magnitudes, signs):
    factors = 1.0 + 0.99 * magnitudes * signs
    return image_operations.scale_contrast(images, factors)


def _brightness(images, magnitudes, signs):
    factors = 1.0 + 0.99 * magnitudes * signs
    return image_operations.scale_brightness(images, factors)


def _sharpness(images, magnitudes, signs):
    return image_operations.sharpen(images, 1.0 + 0.99 * magnitudes * signs)


OPERATIONS = {
    "identity": unchanged,
    "color": _color,
    "contrast": _contrast,
    "brightness": _brightness,
    "sharpness": _sharpness,
    **operation_space(
        degrees=135.0,
        slope=0.99,
        moved=lambda side: min(_MOST_MOVED, side),
        bits=(8.0, 2.0),
    ),
}
