"""Backbones of KerasCV and KerasHub by the names of their presets."""

import importlib
from typing import Any

import keras

from keras_graft.models import blocks

# What the size of an image is called.
_SHAPE = {"keras_cv": "input_shape", "keras_hub": "image_shape"}


def build(
    package: str,
    preset: str,
    num_classes: int,
    input_shape: tuple[int, ...],
    seed: int,
    weights: bool = False,
) -> keras.Model:
    """Builds a backbone with its preprocessing and a new classifier.

    Args:
        package: `"keras_cv"` or `"keras_hub"`, installed.
        preset: Name of a preset, which is fetched where it is not at hand, or
            the folder of one.
        num_classes: Number of logits.
        input_shape: Of an image.
        seed: Of the classifier; what is before it is drawn by Keras.
        weights: Whether the preset's own are loaded.

    Returns:
        A functional model, from images of values 0 to 255 to float32 logits.

    Raises:
        ValueError: If there is no such preset, or it is of no backbone for
            images.
        Exception: Of many kinds, if it cannot be fetched.
    """
    library = importlib.import_module(package)
    backbone = _class_of(library, preset).from_preset(
        preset, load_weights=weights, **{_SHAPE[package]: input_shape}
    )
    if not isinstance(backbone.output, keras.KerasTensor) or (
        len(backbone.output.shape) != 4
    ):
        raise ValueError(
            "it is no backbone that makes one map of features of an image"
        )
    pixels = keras.Input(input_shape, name="pixels")
    # KerasCV's have it inside.
    images = _converted(library, preset, pixels)
    # In a model of plain Keras, whose layers are what has to be known.
    plain = keras.Model(backbone.input, backbone.output, name="backbone")
    outputs = blocks.classifier(
        plain(images), num_classes, blocks.default_uniform(seed)
    )
    return keras.Model(pixels, outputs, name=preset.rpartition("/")[2])


def _class_of(library, preset) -> Any:
    """The class that knows a preset; of a folder any."""
    classes = [
        getattr(library.models, name)
        for name in dir(library.models)
        if name.endswith("Backbone")
    ]
    for each in classes:
        if preset in getattr(each, "presets", {}):
            return each
    return library.models.Backbone


def _converted(library, preset, pixels):
    """The scale and offset that a preset of KerasHub has beside it."""
    if not hasattr(library.layers, "ImageConverter"):
        return pixels
    try:
        converter = library.layers.ImageConverter.from_preset(preset)
    except (ValueError, FileNotFoundError):
        return pixels  # A preset of a backbone alone.
    scale = 1.0 if converter.scale is None else converter.scale
    offset = 0.0 if converter.offset is None else converter.offset
    return keras.layers.Rescaling(
        scale, offset, dtype="float32", name="preprocessing"
    )(pixels)
