"""Augmentation of identities: pure functions of images and a seed pair.

A seed pair is an int64 tensor of shape [2], as `data.order.seed_pair` makes
it.
"""

import tensorflow as tf

from keras_graft.data import order

# arXiv 1708.04896, 3.2: area as a share of the image, height over width.
_LEAST_AREA = 0.02
_MOST_AREA = 0.4
_FLATTEST = 0.3
# Boxes that are drawn for an image; the first that fits is erased.
_TRIES = 8


def pad_crop(images: tf.Tensor, pad: int, seed: tf.Tensor) -> tf.Tensor:
    """Pads with black and crops at random to the former size.

    Args:
        images: Any dtype, shape [batch, height, width, channels], the sizes
            known.
        pad: Pixels at each side, 1 or more.
        seed: Seed pair.

    Returns:
        Images of the same shape and dtype, each with an offset of its own.
    """
    batch = tf.shape(images)[0]
    _, height, width, _ = images.shape
    padded = tf.pad(images, [[0, 0], [pad, pad], [pad, pad], [0, 0]])
    for axis, size in ((1, height), (2, width)):
        first = tf.random.stateless_uniform(
            [batch, 1],
            order.fold_in(seed, axis),
            maxval=2 * pad + 1,
            dtype=tf.int32,
        )
        padded = tf.gather(
            padded, first + tf.range(size), axis=axis, batch_dims=1
        )
    return padded


def flip(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Mirrors one image in two left to right.

    Args:
        images: Any dtype, shape [batch, height, width, channels].
        seed: Seed pair.

    Returns:
        Images of the same shape and dtype.
    """
    draws = tf.random.stateless_uniform([tf.shape(images)[0], 1, 1, 1], seed)
    return tf.where(draws < 0.5, tf.reverse(images, [2]), images)


def erase(
    images: tf.Tensor, probability: float, fill: tf.Tensor, seed: tf.Tensor
) -> tf.Tensor:
    """Erases a box in some images (arXiv 1708.04896).

    The box has 2 to 40 % of the image's area, is 0.3 to 3.3 times as high as
    wide, and lies anywhere in it. The paper draws until a box fits; here an
    image of which none of eight fits stays whole (as good as never in one
    twice as high as wide).

    Args:
        images: Any dtype, shape [batch, height, width, channels], the sizes
            known.
        probability: Of an image to lose a box, in [0, 1].
        fill: Colour of the box, shape [channels], in the images' range.
        seed: Seed pair.

    Returns:
        Images of the same shape and dtype.
    """
    batch = tf.shape(images)[0]
    _, height, width, _ = images.shape

    def uniform(index, low=0.0, high=1.0):
        return tf.random.stateless_uniform(
            [batch, _TRIES], order.fold_in(seed, index), low, high
        )

    area = uniform(0, _LEAST_AREA, _MOST_AREA) * height * width
    # As the reference has it: not in logarithms, so tall boxes are frequent.
    ratio = uniform(1, _FLATTEST, 1 / _FLATTEST)
    rows = tf.cast(tf.round(tf.sqrt(area * ratio)), tf.int32)
    columns = tf.cast(tf.round(tf.sqrt(area / ratio)), tf.int32)
    fits = (rows < height) & (columns < width)
    fits &= (rows > 0) & (columns > 0)
    chosen = tf.argmax(tf.cast(fits, tf.int32), axis=1)[:, tf.newaxis]

    def of_chosen(values):
        return tf.gather(values, chosen, axis=1, batch_dims=1)

    rows, columns = of_chosen(rows), of_chosen(columns)
    erased = of_chosen(fits) & (uniform(2)[:, :1] < probability)
    top = _below(height - rows, uniform(3)[:, :1])
    left = _below(width - columns, uniform(4)[:, :1])
    y, x = tf.range(height)[tf.newaxis], tf.range(width)[tf.newaxis]
    in_rows = (y >= top) & (y < top + rows) & erased
    in_columns = (x >= left) & (x < left + columns)
    inside = in_rows[:, :, tf.newaxis] & in_columns[:, tf.newaxis]
    colour = tf.cast(fill, images.dtype)
    return tf.where(inside[..., tf.newaxis], colour, images)


def _below(bound, draws):
    """Whole numbers from 0 to `bound`, itself included."""
    places = tf.cast(bound + 1, tf.float32) * draws
    return tf.minimum(tf.cast(places, tf.int32), bound)
