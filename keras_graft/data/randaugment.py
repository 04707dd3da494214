"""RandAugment (arXiv 1909.13719) of Keras' layers, without their generators.

Keras' own `RandAugment` draws from a generator that counts its draws and
gives all images of a batch the same operations. Its operations are used here
with parameters that are drawn from a seed pair instead, and each works on all
images that it was chosen for at once.

The policy is keras-cv's, at its defaults: three times over, each image gets
one of ten operations, or none, with equal chances; magnitude 0.5. What the
operations do is what keras-cv's do, but for equalization: Keras' spreads the
grey levels over the whole range, where keras-cv, as PIL does, rounds the
number of pixels per level down (images of less than 256 pixels stay as they
are).
"""

import functools

import tensorflow as tf

from keras_graft.data import image_operations
from keras_graft.data import order
from keras_graft.data.image_operations import WHITE

_ROUNDS = 3
_MAGNITUDE = 0.5
_MAGNITUDE_STDDEV = 0.15


def randaugment(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Changes every image by up to three operations of its own.

    Args:
        images: float32, pixels 0 to 255, shape [batch, height, width,
            channels], 1 or 3 channels.
        seed: Seed pair, int64, shape [2].

    Returns:
        Images of the same shape and range, float32.
    """
    image_operations.make_layers()
    for turn in range(_ROUNDS):
        images = _one_round(images, order.fold_in(seed, turn))
    return images


# A function of its own in the graph, so that eleven operations are traced
# once and not anew for every round and network.
@tf.function
def _one_round(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    choices = tf.random.stateless_uniform(
        [tf.shape(images)[0]],
        order.fold_in(seed, 0),
        maxval=len(OPERATIONS),
        dtype=tf.int32,
    )
    operations = [
        functools.partial(operation, seed=order.fold_in(seed, 1 + index))
        for index, operation in enumerate(OPERATIONS.values())
    ]
    return image_operations.each_by_one(operations, choices, images)


def _identity(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    del seed  # unused
    return images


def _auto_contrast(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    del seed  # unused
    return image_operations.auto_contrast(images)


def _equalize(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    del seed  # unused
    return image_operations.equalize(images)


def _solarize(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    return image_operations.solarize(
        images,
        # At most 110 is added: with more, little of an image is left.
        additions=_normal(images, seed, 0) * 110.0,
        thresholds=(1.0 - _normal(images, seed, 1)) * WHITE,
    )


def _color(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    return image_operations.degenerate_color(images, _normal(images, seed, 0))


def _contrast(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    factors = 1.0 + _symmetric(images, seed, 0)
    return image_operations.scale_contrast(images, factors)


def _brightness(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    deltas = _symmetric(images, seed, 0) * WHITE
    return image_operations.add_brightness(images, deltas)


def _shear(axis: int):
    def shear(images, seed):
        slopes = _normal(images, seed, 0) * _sign(images, seed, 1)
        return image_operations.shear(images, slopes, axis)

    return shear


def _translate(axis: int):
    def translate(images, seed):
        pixels = _symmetric(images, seed, 0) * images.shape[2 - axis]
        return image_operations.translate(images, pixels, axis)

    return translate


OPERATIONS = {
    "identity": _identity,
    "auto_contrast": _auto_contrast,
    "equalize": _equalize,
    "solarize": _solarize,
    "color": _color,
    "contrast": _contrast,
    "brightness": _brightness,
    "shear_x": _shear(0),
    "shear_y": _shear(1),
    "translate_x": _translate(0),
    "translate_y": _translate(1),
}


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
