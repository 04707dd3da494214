"""RandAugment (arXiv 1909.13719) through keras-cv, without its generators.

keras-cv's own `RandAugment` draws from stateful generators inside a parallel
loop over the images: with one seed, two runs in one process differ from the
second batch on. Its operations are used here with parameters that are drawn
from a seed pair instead, and each works on all images that it was chosen for
at once.

The policy is keras-cv's, at its defaults: three times over, each image gets
one of ten operations, or none, with equal chances; magnitude 0.5.
"""

import functools
from collections.abc import Callable

import tensorflow as tf

from keras_graft.data import order

_ROUNDS = 3
_MAGNITUDE = 0.5
_MAGNITUDE_STDDEV = 0.15
_WHITE = 255.0


def randaugment(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Changes every image by up to three operations of its own.

    Args:
        images: float32, pixels 0 to 255, shape [batch, height, width,
            channels].
        seed: Seed pair, int64, shape [2].

    Returns:
        Images of the same shape and range, float32.
    """
    operations = _operations(channels=images.shape[-1])
    for turn in range(_ROUNDS):
        images = _one_round(images, operations, order.fold_in(seed, turn))
    return images


# A function of its own in the graph, so that eleven operations are traced
# once and not anew for every round and network.
@tf.function
def _one_round(
    images: tf.Tensor, operations: tuple[Callable, ...], seed: tf.Tensor
) -> tf.Tensor:
    batch_size = tf.shape(images)[0]
    choices = tf.random.stateless_uniform(
        [batch_size],
        order.fold_in(seed, 0),
        maxval=len(operations),
        dtype=tf.int32,
    )
    groups = tf.dynamic_partition(images, choices, len(operations))
    positions = tf.dynamic_partition(
        tf.range(batch_size), choices, len(operations)
    )
    changed = [
        _apply(operation, group, order.fold_in(seed, 1 + index))
        for index, (operation, group) in enumerate(zip(operations, groups))
    ]
    # The shape is kept, or the second round would be traced anew.
    return tf.ensure_shape(tf.dynamic_stitch(positions, changed), images.shape)


def _apply(
    operation: Callable, images: tf.Tensor, seed: tf.Tensor
) -> tf.Tensor:
    # keras-cv's equalization fails on no images at all.
    return tf.cond(
        tf.shape(images)[0] > 0,
        lambda: operation(images, seed),
        lambda: images,
    )


@functools.cache
def _operations(channels: int) -> tuple[Callable, ...]:
    # Takes seconds to import: only runs that ask for RandAugment pay.
    from keras_cv import layers

    pixels = {"value_range": (0, _WHITE), "dtype": "float32"}
    # The layers' own factors are not used, but have to be given.
    with tf.init_scope():
        auto_contrast = layers.AutoContrast(**pixels)
        equalization = layers.Equalization(**pixels)
        solarization = layers.Solarization(**pixels)
        color = layers.RandomColorDegeneration(factor=1.0, dtype="float32")
        contrast = layers.RandomContrast(factor=1.0, **pixels)
        brightness = layers.RandomBrightness(factor=1.0, **pixels)
        shear = layers.RandomShear(x_factor=1.0, y_factor=1.0, dtype="float32")
        translation = layers.RandomTranslation(1.0, 1.0, dtype="float32")

    def solarize(images, seed):
        # At most 110 is added: with more, little of an image is left.
        drawn = {
            "additions": _normal(images, seed, 0) * 110.0,
            "thresholds": (1.0 - _normal(images, seed, 1)) * _WHITE,
        }
        return solarization.augment_images(images, drawn)

    def shear_along(axis, images, seed):
        amounts = _normal(images, seed, 0) * _sign(images, seed, 1)
        drawn = {"shear_x": None, "shear_y": None}
        drawn[f"shear_{axis}"] = amounts[:, :, 0, 0]
        return shear.augment_images(images, drawn)

    def translate_along(axis, images, seed):
        amounts = _symmetric(images, seed, 0)[:, :, 0, 0]
        drawn = {
            "height_translations": tf.zeros_like(amounts),
            "width_translations": tf.zeros_like(amounts),
        }
        drawn[f"{axis}_translations"] = amounts
        return translation.augment_images(images, drawn)

    def identity(images, seed):
        del seed  # unused
        return images

    return (
        identity,
        lambda images, seed: auto_contrast.augment_images(images),
        lambda images, seed: equalization.augment_images(images),
        solarize,
        # Grey images have no color to lose.
        identity
        if channels == 1
        else lambda images, seed: color.augment_images(
            images, _normal(images, seed, 0)
        ),
        lambda images, seed: contrast.augment_images(
            images, 1.0 + _symmetric(images, seed, 0)
        ),
        lambda images, seed: brightness.augment_images(
            images, _symmetric(images, seed, 0) * _WHITE
        ),
        functools.partial(shear_along, "x"),
        functools.partial(shear_along, "y"),
        functools.partial(translate_along, "width"),
        functools.partial(translate_along, "height"),
    )


def _normal(images: tf.Tensor, seed: tf.Tensor, index: int) -> tf.Tensor:
    """Draws around the magnitude, in [0, 1], shape [batch, 1, 1, 1]."""
    drawn = tf.random.stateless_normal(
        [tf.shape(images)[0], 1, 1, 1],
        order.fold_in(seed, index),
        mean=_MAGNITUDE,
        stddev=_MAGNITUDE_STDDEV,
    )
    return tf.clip_by_value(drawn, 0.0, 1.0)


def _symmetric(images: tf.Tensor, seed: tf.Tensor, index: int) -> tf.Tensor:
    """Draws evenly from plus or minus the magnitude, [batch, 1, 1, 1]."""
    return tf.random.stateless_uniform(
        [tf.shape(images)[0], 1, 1, 1],
        order.fold_in(seed, index),
        minval=-_MAGNITUDE,
        maxval=_MAGNITUDE,
    )


def _sign(images: tf.Tensor, seed: tf.Tensor, index: int) -> tf.Tensor:
    """Draws 1 or -1, shape [batch, 1, 1, 1]."""
    return tf.sign(_symmetric(images, seed, index))
