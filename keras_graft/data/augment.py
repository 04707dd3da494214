"""Augmentation of a batch: pure functions of images, labels and a seed pair.

A seed pair is an int64 tensor of shape [2], as `order.seed_pair` makes it.
"""

import functools

import keras
import tensorflow as tf

from keras_graft.data import order


class _SeedSequence(keras.random.SeedGenerator):
    """Seeds for a Keras layer, all computed from one seed pair.

    Keras' own generator counts its draws in a variable, so that what a batch
    gets would depend on how many batches came before. This one counts while
    the graph is built: the k-th draw in it always gets the k-th seed.
    """

    def __init__(self, seed):
        # Not super().__init__(): it would create the variable.
        self._seed = seed
        self._draws = 0

    def next(self, ordered=True):
        del ordered  # unused
        self._draws += 1
        return order.fold_in(self._seed, self._draws)


def pad_crop_flip(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Pads with black, crops at random, mirrors one image in two.

    The recipe of the CIFAR ResNets (arXiv 1512.03385, 4.2): 4 pixels at each
    side of 32. Each image has an offset and a mirroring of its own.

    Args:
        images: Any dtype, shape [batch, height, width, channels], the sizes
            known. The padding is an eighth of height and width, rounded down.
        seed: Seed pair.

    Returns:
        Images of the same shape and dtype.
    """
    tops, lefts, flips = draw_crop_flip(tf.shape(images)[0], images.shape, seed)
    return crop_flip(images, tops, lefts, flips)


def draw_crop_flip(
    batch_size: int | tf.Tensor, image_shape: tf.TensorShape, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Draws what `crop_flip` is to do with each image.

    Args:
        batch_size: Number of images.
        image_shape: Shape that ends in [height, width, channels].
        seed: Seed pair.

    Returns:
        Top and left edge of the crop in the padded image (int32, uniform in
        0 ... twice the padding) and whether to mirror (bool, one half), each
        of shape [batch].
    """

    def below(bound, index):
        return tf.random.stateless_uniform(
            [batch_size],
            order.fold_in(seed, index),
            maxval=bound,
            dtype=tf.int32,
        )

    _, height, width, _ = image_shape
    return (
        below(2 * (height // 8) + 1, 0),
        below(2 * (width // 8) + 1, 1),
        below(2, 2) == 1,
    )


def crop_flip(
    images: tf.Tensor, tops: tf.Tensor, lefts: tf.Tensor, flips: tf.Tensor
) -> tf.Tensor:
    """Crops padded images to their former size and mirrors some.

    Args:
        images: Shape [batch, height, width, channels]; see `pad_crop_flip`.
        tops: Top edges of the crops in the padded images, int32, [batch].
        lefts: Left edges, int32, [batch].
        flips: Whether the crop is mirrored left to right, bool, [batch].

    Returns:
        Images of the same shape and dtype.
    """
    _, height, width, _ = images.shape
    pad_y, pad_x = height // 8, width // 8
    padded = tf.pad(images, [[0, 0], [pad_y, pad_y], [pad_x, pad_x], [0, 0]])
    rows = tops[:, tf.newaxis] + tf.range(height)
    columns = tf.where(
        flips[:, tf.newaxis], tf.range(width - 1, -1, -1), tf.range(width)
    )
    columns += lefts[:, tf.newaxis]
    cropped = tf.gather(padded, rows, axis=1, batch_dims=1)
    return tf.gather(cropped, columns, axis=2, batch_dims=1)


def draw_parts(batch_size: int | tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Draws what `resized_crop` is to show of each image.

    Args:
        batch_size: Number of images.
        seed: Seed pair.

    Returns:
        float32, shape [batch, 5], uniform in [0, 1): the area of the part,
        its proportions, its place from left and from top, whether it is
        mirrored. `folder.image_file.crop_to` takes the same numbers.
    """
    return tf.random.stateless_uniform([batch_size, 5], seed)


def resized_crop(images: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
    """Enlarges a part of each image to the whole, and mirrors one in two.

    The recipe of ImageNet (arXiv 1409.4842): 8 to 100 percent of the area,
    proportions of 3:4 to 4:3. A part that is wider or higher than the image
    is cut to it.

    Args:
        images: uint8, shape [batch, height, width, channels].
        draws: Of `draw_parts`.

    Returns:
        Images of the same shape and dtype.
    """
    area, proportions, left, top, mirrored = tf.unstack(draws, axis=1)
    _, height, width, _ = images.shape
    area = (0.08 + 0.92 * area) * (height * width)
    ratio = (3 / 4) ** (1.0 - 2.0 * proportions)
    # As shares of width and height.
    part_width = tf.minimum(tf.sqrt(area * ratio) / width, 1.0)
    part_height = tf.minimum(tf.sqrt(area / ratio) / height, 1.0)
    left, top = left * (1.0 - part_width), top * (1.0 - part_height)
    right, bottom = left + part_width, top + part_height
    flipped = mirrored < 0.5
    boxes = tf.stack(
        [
            top,
            tf.where(flipped, right, left),
            bottom,
            tf.where(flipped, left, right),
        ],
        axis=1,
    )
    cropped = tf.image.crop_and_resize(
        images, boxes, tf.range(tf.shape(images)[0]), [height, width]
    )
    return tf.cast(tf.round(cropped), images.dtype)


def mixup(
    images: tf.Tensor, labels: tf.Tensor, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Blends every image, and its label, with another of the batch.

    `keras.layers.MixUp` with alpha 1 (arXiv 1710.09412, 3.2, for CIFAR): the
    weights are uniform in [0, 1], each image has its own.

    Args:
        images: float32, shape [batch, height, width, channels].
        labels: float32 class probabilities, shape [batch, classes].
        seed: Seed pair.

    Returns:
        Images and labels of the same shapes.
    """
    layer = float32_layer("MixUp", alpha=1.0)
    transformation = layer.get_random_transformation(
        images, seed=_SeedSequence(seed)
    )
    return (
        layer.transform_images(images, transformation),
        layer.transform_labels(labels, transformation),
    )


def cutmix(
    images: tf.Tensor, labels: tf.Tensor, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Pastes into every image a box of another image of the batch.

    `keras.layers.CutMix` with alpha 1 (arXiv 1905.04899, 3.1): the area of
    the box, as a share of the image, is uniform in [0, 1], each image has a
    box of its own. keras-cv's layer draws from generators that cannot be set
    back, and weighs labels as if no box were cut off at the border.

    Args:
        images: float32, shape [batch, height, width, channels].
        labels: float32 class probabilities, shape [batch, classes].
        seed: Seed pair.

    Returns:
        Images of the same shape; labels of the same shape, in which the
        weight of each image is the share of its pixels.
    """
    layer = float32_layer("CutMix", factor=(1.0, 1.0))
    transformation = layer.get_random_transformation(
        images, seed=_SeedSequence(seed)
    )
    # The layer weighs with the sides of the box before it is rounded to whole
    # pixels: up to 0.06 beside the share that is seen in a 32x32 image.
    pasted = tf.cast(transformation["batch_masks"], tf.float32)
    transformation["mix_weight"] = 1.0 - tf.reduce_mean(pasted, axis=(1, 2, 3))
    return (
        layer.transform_images(images, transformation),
        layer.transform_labels(labels, transformation),
    )


def erase(images: tf.Tensor, seed: tf.Tensor, probability: float) -> tf.Tensor:
    """Fills a box with noise in some of the images (arXiv 1708.04896).

    The box has 0.02 to 0.33 of the image's area and an aspect ratio of 0.3 to
    3.3, all uniform; each image has one of its own. Keras' `RandomErasing`
    draws height and width apart, and half of its noise is black.

    Args:
        images: float32, shape [batch, height, width, channels], pixels 0 to
            255.
        seed: Seed pair.
        probability: Of an image to be erased, in [0, 1].

    Returns:
        Images of the same shape.
    """

    def drawn(index, low, high):
        pair = order.fold_in(seed, index)
        return tf.random.stateless_uniform([size], pair, low, high)

    def inside(first, length, count):
        """Which of an axis' pixels a box holds: [batch, count]."""
        centres = (tf.range(count, dtype=tf.float32) + 0.5) / count
        first, length = first[:, tf.newaxis], length[:, tf.newaxis]
        return (centres >= first) & (centres < first + length)

    size = tf.shape(images)[0]
    _, height, width, _ = images.shape
    area, aspect = drawn(0, 0.02, 0.33), drawn(1, 0.3, 3.3)
    tall = tf.minimum(tf.sqrt(area * aspect), 1.0)
    wide = tf.minimum(tf.sqrt(area / aspect), 1.0)
    rows = inside(drawn(2, 0.0, 1.0) * (1.0 - tall), tall, height)
    columns = inside(drawn(3, 0.0, 1.0) * (1.0 - wide), wide, width)
    hit = drawn(4, 0.0, 1.0) < probability
    box = rows[:, :, tf.newaxis] & columns[:, tf.newaxis, :]
    box &= hit[:, tf.newaxis, tf.newaxis]
    noise = tf.random.stateless_uniform(
        tf.shape(images), order.fold_in(seed, 5), 0.0, 255.0
    )
    return tf.where(box[..., tf.newaxis], noise, images)


@functools.cache
def float32_layer(name: str, **arguments) -> keras.layers.Layer:
    """Makes the layer of `keras.layers` of that name once.

    It computes in float32 whatever the run's precision: these are pixels.
    """
    # The layer makes a variable, which is never used: not in the graph of a
    # dataset, where TensorFlow refuses new variables.
    with tf.init_scope():
        return getattr(keras.layers, name)(dtype="float32", **arguments)
