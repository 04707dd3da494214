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

from collections.abc import Callable

import keras
import tensorflow as tf

from keras_graft.data import order
from keras_graft.data.augment import float32_layer

_ROUNDS = 3
_MAGNITUDE = 0.5
_MAGNITUDE_STDDEV = 0.15
_WHITE = 255.0

# Layers and their arguments. They work with the amounts that they are given:
# these factors, from which they would draw, are not used, but have to be there.
_LAYERS = {
    "AutoContrast": {},
    "Equalization": {},
    "Solarization": {},
    "RandomColorDegeneration": {"factor": 1.0},
    "RandomContrast": {"factor": 1.0},
    "RandomBrightness": {"factor": 1.0},
    "RandomShear": {},
    "RandomTranslation": {"height_factor": 1.0, "width_factor": 1.0},
}


def randaugment(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Changes every image by up to three operations of its own.

    Args:
        images: float32, pixels 0 to 255, shape [batch, height, width,
            channels].
        seed: Seed pair, int64, shape [2].

    Returns:
        Images of the same shape and range, float32.
    """
    for name in _LAYERS:
        # Here, for a `tf.function` that was traced before refuses variables.
        _layer(name)
    for turn in range(_ROUNDS):
        images = _one_round(images, order.fold_in(seed, turn))
    return images


# A function of its own in the graph, so that eleven operations are traced
# once and not anew for every round and network.
@tf.function
def _one_round(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    batch_size = tf.shape(images)[0]
    choices = tf.random.stateless_uniform(
        [batch_size],
        order.fold_in(seed, 0),
        maxval=len(OPERATIONS),
        dtype=tf.int32,
    )
    groups = tf.dynamic_partition(images, choices, len(OPERATIONS))
    positions = tf.dynamic_partition(
        tf.range(batch_size), choices, len(OPERATIONS)
    )
    changed = [
        _apply(operation, group, order.fold_in(seed, 1 + index))
        for index, (operation, group) in enumerate(
            zip(OPERATIONS.values(), groups)
        )
    ]
    # The shape is kept, or the second round would be traced anew.
    return tf.ensure_shape(tf.dynamic_stitch(positions, changed), images.shape)


def _apply(
    operation: Callable, images: tf.Tensor, seed: tf.Tensor
) -> tf.Tensor:
    # Keras' autocontrast and equalization fail on no images at all.
    return tf.cond(
        tf.shape(images)[0] > 0,
        lambda: operation(images, seed),
        lambda: images,
    )


def _layer(name: str) -> keras.layers.Layer:
    return float32_layer(name, **_LAYERS[name])


def _identity(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    del seed  # unused
    return images


def _auto_contrast(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    del seed  # unused
    return _layer("AutoContrast").transform_images(images)


def _equalize(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    del seed  # unused
    layer = _layer("Equalization")
    # Image by image: of a batch the layer takes one histogram.
    return tf.map_fn(lambda image: layer.transform_images(image, None), images)


def _solarize(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    drawn = {
        # At most 110 is added: with more, little of an image is left.
        "additions": _normal(images, seed, 0) * 110.0,
        "thresholds": (1.0 - _normal(images, seed, 1)) * _WHITE,
    }
    return _layer("Solarization").transform_images(images, drawn)


def _color(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    if images.shape[-1] == 1:
        # Grey images have no color to lose.
        return images
    drawn = {"factor": _normal(images, seed, 0)}
    return _layer("RandomColorDegeneration").transform_images(images, drawn)


def _contrast(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    drawn = {"contrast_factor": 1.0 + _symmetric(images, seed, 0)}
    return _layer("RandomContrast").transform_images(images, drawn)


def _brightness(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    drawn = {"rgb_delta": _symmetric(images, seed, 0) * _WHITE}
    return _layer("RandomBrightness").transform_images(images, drawn)


def _shear(axis: int):
    def shear(images, seed):
        amounts = _normal(images, seed, 0) * _sign(images, seed, 1)
        drawn = {"shear_factor": _along(axis, amounts)}
        return _layer("RandomShear").transform_images(images, drawn)

    return shear


def _translate(axis: int):
    def translate(images, seed):
        pixels = _symmetric(images, seed, 0) * images.shape[2 - axis]
        drawn = {"translations": _along(axis, pixels)}
        return _layer("RandomTranslation").transform_images(images, drawn)

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


def _along(axis: int, amounts: tf.Tensor) -> tf.Tensor:
    """Pairs (x, y), [batch, 2], of which one is 0, from [batch, 1, 1, 1]."""
    return amounts[:, 0, 0] * tf.one_hot([axis], 2)


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
