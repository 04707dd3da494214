"""What augmentation does to images, by amounts that are given.

Operations of Keras' layers where it has them. A layer draws amounts from a
generator that counts its draws; here they are arguments, and augmentation
draws them from seed pairs.

Images are float32, pixels 0 to 255, shape [n, height, width, channels] with 1
or 3 channels; amounts are float32 of shape [n, 1, 1, 1], one for each image.
What comes from outside of an image is reflected at its border.
"""

from collections.abc import Callable
from collections.abc import Sequence

import keras
import tensorflow as tf

from keras_graft.data.augment import float32_layer

WHITE = 255.0

# Layers and their arguments. They work with the amounts that they are given:
# these factors, from which they would draw, are not used, but have to be there.
_LAYERS = {
    "AutoContrast": {},
    "Equalization": {},
    "Solarization": {},
    "RandomColorDegeneration": {"factor": 1.0},
    "RandomContrast": {"factor": 1.0},
    "RandomBrightness": {"factor": 1.0},
    "RandomPosterization": {"factor": 8},
    "RandomSharpness": {"factor": 1.0},
    "RandomShear": {},
    "RandomTranslation": {"height_factor": 1.0, "width_factor": 1.0},
}


def make_layers() -> None:
    """Makes the layers before a `tf.function` is traced that uses them.

    A function that was traced before refuses variables.
    """
    for name in _LAYERS:
        _layer(name)


def _layer(name: str) -> keras.layers.Layer:
    return float32_layer(name, **_LAYERS[name])


def each_by_one(
    operations: Sequence[Callable],
    choices: tf.Tensor,
    images: tf.Tensor,
    *drawn: tf.Tensor,
) -> tf.Tensor:
    """Changes each image by the operation that was chosen for it.

    Each operation works on all of its images at once.

    Args:
        operations: Functions of images, and of what was drawn for them.
        choices: Which of them, int32, shape [n].
        images: Shape [n, height, width, channels].
        drawn: Tensors with a row for each image.

    Returns:
        Images of the same shape.
    """
    groups = [
        tf.dynamic_partition(rows, choices, len(operations))
        for rows in (images, *drawn)
    ]
    positions = tf.dynamic_partition(
        tf.range(tf.shape(images)[0]), choices, len(operations)
    )
    changed = [
        _unless_empty(operation, *group)
        for operation, *group in zip(operations, *groups, strict=True)
    ]
    # The shape is kept, or a second round would be traced anew.
    return tf.ensure_shape(tf.dynamic_stitch(positions, changed), images.shape)


def _unless_empty(operation, images, *drawn):
    # Keras' autocontrast and equalization fail on no images at all.
    return tf.cond(
        tf.shape(images)[0] > 0,
        lambda: operation(images, *drawn),
        lambda: images,
    )


def auto_contrast(images: tf.Tensor) -> tf.Tensor:
    """Stretches each channel to the whole range."""
    return _layer("AutoContrast").transform_images(images)


def equalize(images: tf.Tensor) -> tf.Tensor:
    """Spreads the values of each channel evenly over the range."""
    layer = _layer("Equalization")
    # Image by image: of a batch the layer takes one histogram.
    return tf.map_fn(lambda image: layer.transform_images(image, None), images)


def solarize(
    images: tf.Tensor, additions: tf.Tensor, thresholds: tf.Tensor
) -> tf.Tensor:
    """Adds to all pixels, then inverts those from a threshold on."""
    drawn = {"additions": additions, "thresholds": thresholds}
    return _layer("Solarization").transform_images(images, drawn)


def degenerate_color(images: tf.Tensor, shares: tf.Tensor) -> tf.Tensor:
    """Takes a share of the color away; below 0 it adds as much."""
    if images.shape[-1] == 1:
        # Grey images have no color to lose.
        return images
    drawn = {"factor": shares}
    return _layer("RandomColorDegeneration").transform_images(images, drawn)


def scale_contrast(images: tf.Tensor, factors: tf.Tensor) -> tf.Tensor:
    """Scales the distance of each channel's pixels from their mean."""
    drawn = {"contrast_factor": factors}
    return _layer("RandomContrast").transform_images(images, drawn)


def add_brightness(images: tf.Tensor, deltas: tf.Tensor) -> tf.Tensor:
    """Adds to all pixels."""
    drawn = {"rgb_delta": deltas}
    return _layer("RandomBrightness").transform_images(images, drawn)


def scale_brightness(images: tf.Tensor, factors: tf.Tensor) -> tf.Tensor:
    """Multiplies all pixels, which Keras' layer does not."""
    return tf.clip_by_value(images * factors, 0.0, WHITE)


def sharpen(images: tf.Tensor, factors: tf.Tensor) -> tf.Tensor:
    """Blurs at 0, leaves as it is at 1, sharpens at 2."""
    drawn = {"factor": factors / 2.0}
    # The layer takes black for what is outside of an image.
    border = [[0, 0], [1, 1], [1, 1], [0, 0]]
    padded = tf.pad(images, border, "SYMMETRIC")
    sharpened = _layer("RandomSharpness").transform_images(padded, drawn)
    return sharpened[:, 1:-1, 1:-1]


def posterize(images: tf.Tensor, bits: tf.Tensor) -> tf.Tensor:
    """Keeps the highest bits of each pixel, 1 to 8 (rounded)."""
    lost = tf.cast(8.0 - tf.round(bits[:, 0, 0, 0]), tf.uint8)
    drawn = {"shift_factor": lost}
    return _layer("RandomPosterization").transform_images(images, drawn)


def rotate(images: tf.Tensor, degrees: tf.Tensor) -> tf.Tensor:
    """Turns each image around its center."""
    _, height, width, _ = images.shape
    angles = degrees[:, 0, 0, 0] * (3.141592653589793 / 180.0)
    cosines, sines = tf.cos(angles), tf.sin(angles)
    x, y = (width - 1) / 2, (height - 1) / 2
    zeros = tf.zeros_like(angles)
    # Where in the image each pixel of the result comes from.
    rows = [
        *(cosines, -sines, x - cosines * x + sines * y),
        *(sines, cosines, y - sines * x - cosines * y),
        *(zeros, zeros),
    ]
    return keras.ops.image.affine_transform(
        images,
        tf.stack(rows, axis=1),
        fill_mode="reflect",
        data_format="channels_last",
    )


def shear(images: tf.Tensor, slopes: tf.Tensor, axis: int) -> tf.Tensor:
    """Moves each line along an axis (x: 0, y: 1) by its place times a slope."""
    drawn = {"shear_factor": _along(axis, slopes)}
    return _layer("RandomShear").transform_images(images, drawn)


def translate(images: tf.Tensor, pixels: tf.Tensor, axis: int) -> tf.Tensor:
    """Moves images along an axis (x: 0, y: 1)."""
    drawn = {"translations": _along(axis, pixels)}
    return _layer("RandomTranslation").transform_images(images, drawn)


def _along(axis: int, amounts: tf.Tensor) -> tf.Tensor:
    """Pairs (x, y), [n, 2], of which one is 0, from [n, 1, 1, 1]."""
    return amounts[:, 0, 0] * tf.one_hot([axis], 2)
