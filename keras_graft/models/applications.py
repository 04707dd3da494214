"""The networks of `keras.applications`, from raw pixels to logits."""

from typing import Any

import keras
import numpy as np

from keras_graft.models import blocks

_PIXEL = 255.0


def build(
    name: str,
    num_classes: int,
    input_shape: tuple[int, ...],
    seed: int,
    arguments: dict[str, Any],
    weights: str | None = None,
) -> keras.Model:
    """Builds an application with its own preprocessing and a new classifier.

    The preprocessing is what the `preprocess_input` beside it does, found by
    asking it, as stock layers.

    Args:
        name: A function of `keras.applications`.
        num_classes: Number of logits.
        input_shape: Of an image, three channels.
        seed: Of the classifier; what is before it is drawn by Keras.
        arguments: More arguments of the function.
        weights: As for the function, which loads them without a classifier.

    Returns:
        A flat functional model, from images of values 0 to 255 to float32
        logits.

    Raises:
        ValueError: If it cannot be made for such images, or weights do not
            fit.
    """
    if input_shape[-1] != 3:
        raise ValueError(
            f"it takes images of three channels, and these have "
            f"{input_shape[-1]}"
        )
    maker = getattr(keras.applications, name)
    pixels = keras.Input(input_shape, name="pixels")
    height, width, _ = input_shape
    backbone = maker(
        input_tensor=_preprocessed(maker, pixels),
        # It compares one side only, and another one than it has.
        input_shape=input_shape if height == width else None,
        include_top=False,
        weights=weights,
        **arguments,
    )
    outputs = blocks.classifier(
        backbone.output, num_classes, blocks.default_uniform(seed)
    )
    return keras.Model(pixels, outputs, name=name)


def _preprocessed(maker, pixels):
    """What a network makes of pixels before its first layer."""
    module = getattr(keras.applications, maker.__module__.rpartition(".")[2])
    # Black, then the three channels alone: it is affine.
    asked = np.vstack([np.zeros((1, 3)), _PIXEL * np.eye(3)])
    told = module.preprocess_input(
        asked.reshape(1, 4, 1, 3), data_format="channels_last"
    )
    told = np.asarray(told, "float64").reshape(4, 3)
    offset, matrix = told[0], (told[1:] - told[0]) / _PIXEL
    if not np.diag(matrix).all():
        # Weights from Caffe take blue first.
        pixels = keras.ops.flip(pixels, axis=-1)
        matrix = matrix[::-1]
    scale = np.diag(matrix)
    if np.allclose(scale, 1) and not offset.any():
        return pixels
    # In float32 under any precision policy: pixels lose bits in bfloat16.
    return keras.layers.Rescaling(
        scale.round(12).tolist(),
        offset.round(12).tolist(),
        dtype="float32",
        name="preprocessing",
    )(pixels)
