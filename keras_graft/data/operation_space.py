"""The operations that TrivialAugment and AugMix share, by magnitude."""

from collections.abc import Callable

import tensorflow as tf

from keras_graft.data import image_operations
from keras_graft.data.image_operations import WHITE


def unchanged(
    images: tf.Tensor, magnitudes: tf.Tensor, signs: tf.Tensor
) -> tf.Tensor:
    """The images as they are; a function as of `operation_space`."""
    del magnitudes, signs  # unused
    return images


def operation_space(
    *,
    degrees: float,
    slope: float,
    moved: Callable[[int], float],
    bits: tuple[float, float],
) -> dict[str, Callable]:
    """Nine operations and how strong they are at magnitude 1.

    Args:
        degrees: By which images are turned.
        slope: By which they are sheared.
        moved: From the pixels at a side to those that an image is moved by.
        bits: That posterization leaves at magnitude 0 and 1.

    Returns:
        Functions by name, of images as of `image_operations`, magnitudes in
        [0, 1] and signs, -1 or 1, both float32 of shape [n, 1, 1, 1].
    """

    def auto_contrast(images, magnitudes, signs):
        del magnitudes, signs  # unused
        return image_operations.auto_contrast(images)

    def equalize(images, magnitudes, signs):
        del magnitudes, signs  # unused
        return image_operations.equalize(images)

    def solarize(images, magnitudes, signs):
        del signs  # unused
        return image_operations.solarize(
            images,
            additions=tf.zeros_like(magnitudes),
            # At 0 nothing is inverted, and white is no exception.
            thresholds=(1.0 - magnitudes) * (WHITE + 1.0),
        )

    def posterize(images, magnitudes, signs):
        del signs  # unused
        most, least = bits
        kept = most - (most - least) * magnitudes
        return image_operations.posterize(images, kept)

    def rotate(images, magnitudes, signs):
        return image_operations.rotate(images, degrees * magnitudes * signs)

    def shear_along(axis):
        def shear(images, magnitudes, signs):
            slopes = slope * magnitudes * signs
            return image_operations.shear(images, slopes, axis)

        return shear

    def translate_along(axis):
        def translate(images, magnitudes, signs):
            pixels = moved(images.shape[2 - axis]) * magnitudes * signs
            return image_operations.translate(images, pixels, axis)

        return translate

    return {
        "auto_contrast": auto_contrast,
        "equalize": equalize,
        "solarize": solarize,
        "posterize": posterize,
        "rotate": rotate,
        "shear_x": shear_along(0),
        "shear_y": shear_along(1),
        "translate_x": translate_along(0),
        "translate_y": translate_along(1),
    }
