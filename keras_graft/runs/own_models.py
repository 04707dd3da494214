"""Networks of one's own: a saved model, or a function that makes one."""

import importlib

import keras
import numpy as np

from keras_graft.runs.exit_codes import RunError
from keras_graft.structure.classifiers import classifier_of
from keras_graft.structure.classifiers import with_classifier
from keras_graft.structure.conv_layers import leaf_layers
from keras_graft.structure.graph import functional_part
from keras_graft.structure.outputs import final_activation


def load(path: str, flag: str) -> keras.Model:
    """Loads a saved model.

    Args:
        path: A file.
        flag: The flag that names it, for the error.

    Raises:
        RunError: If it is none of Keras.
    """
    try:
        return keras.models.load_model(path, compile=False)
    # A file of somebody else may hold anything.
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise RunError(
            f"--{flag}={path} cannot be loaded as a Keras model: {error}"
        ) from error


def call(name: str, num_classes: int, image_shape: tuple) -> keras.Model:
    """Calls a function that makes a network.

    Args:
        name: `module:function`.
        num_classes: What the function is given.
        image_shape: Likewise.

    Raises:
        RunError: If there is none, it fails, or it returns no Keras model.
    """
    place, _, function = name.partition(":")
    try:
        made = getattr(importlib.import_module(place), function)(
            num_classes=num_classes, input_shape=image_shape
        )
    # The code is somebody else's, and it fails in its own way.
    except Exception as error:
        raise RunError(
            f"--model={name} cannot be called: {type(error).__name__}: "
            f"{error}. It must be a function of `num_classes` and "
            f"`input_shape`, here {num_classes} and {image_shape}, that "
            "returns a Keras model."
        ) from error
    if not isinstance(made, keras.Model):
        raise RunError(
            f"--model={name} returned {type(made).__name__}, and it must "
            "return a Keras model, from pixels of 0 to 255 to logits."
        )
    return made


def classifying(
    model: keras.Model,
    flag: str,
    num_classes: int,
    image_shape: tuple,
    new_classes: bool = False,
) -> keras.Model:
    """A network of logits, if a model can be one for a run.

    Args:
        model: What `--model` named.
        flag: That flag, for errors.
        num_classes: Classes of the images.
        image_shape: Shape of an image.
        new_classes: Whether it gets a classifier of its own anyway.

    Returns:
        The model, or one that shares its layers, without a last softmax.

    Raises:
        RunError: If it takes other images, or tells other classes apart or
            none, or computes in another precision.
    """
    _refuse_other_images(model, flag, image_shape)
    _refuse_other_precision(model, flag)
    found = classifier_of(model)
    if found is None and functional_part(model) is None and not new_classes:
        _refuse_hidden_end(model, flag, num_classes, image_shape)
        return model
    if found is None:
        raise _no_classifier(flag, model.output_shape)
    if new_classes:
        return with_classifier(model, num_classes, "glorot_uniform")
    if found.layer.units != num_classes:
        raise _other_classes(flag, found.layer.units, num_classes)
    if final_activation(model) == "softmax":
        return with_classifier(model, num_classes)
    return model


def of_size(network: keras.Model, image_shape: tuple) -> keras.Model:
    """A network for images of any size, as one for those of a run.

    Args:
        network: Any network; others are returned as they are.
        image_shape: Shape of an image.
    """
    if functional_part(network) is None or None not in network.input_shape[1:]:
        return network
    sized = keras.models.clone_model(
        network, input_tensors=keras.Input(image_shape, name="pixels")
    )
    sized.set_weights(network.get_weights())
    for _, layer in leaf_layers(sized):
        if hasattr(layer, "finalize_state"):
            # `Normalization` computes with what it makes of its weights.
            layer.finalize_state()
    return sized


def _refuse_hidden_end(model, flag, num_classes, image_shape):
    """Refuses a class of somebody's own that gives no logits."""
    try:
        images = np.random.default_rng(0).uniform(0, 255, (2, *image_shape))
        found = model(images.astype("float32"), training=False)
        shape = tuple(found.shape)
        values = keras.ops.convert_to_numpy(found)
    # Its code, and it tells so in its own way.
    except Exception as error:
        raise RunError(
            f"{flag} cannot be called on images of shape {image_shape}: "
            f"{type(error).__name__}: {error}"
        ) from error
    if len(shape) != 2:
        raise _no_classifier(flag, (None, *shape[1:]))
    if shape[1] != num_classes:
        raise _other_classes(flag, shape[1], num_classes)
    if (values >= 0).all() and np.allclose(values.sum(axis=-1), 1):
        raise RunError(
            f"{flag} gives probabilities, and it must give logits: leave the "
            "softmax at its end out."
        )


def _no_classifier(flag, shape):
    return RunError(
        f"{flag} has no classifier: its output has shape {_shown(shape)}. It "
        "must end with one Dense layer of a unit for each class, with or "
        "without a softmax. Add keras.layers.Dense(classes) after a "
        "keras.layers.GlobalAveragePooling2D."
    )


def _other_classes(flag, classes, num_classes):
    return RunError(
        f"{flag} tells {classes} classes apart, and the images have "
        f"{num_classes}. Give a model with as many. With its weights too "
        "(--weights=PATH.keras) a new classifier takes the place of its own."
    )


def _refuse_other_images(model, flag, image_shape):
    found = getattr(model, "input_shape", None)
    if found is None:
        return
    if isinstance(found, list | dict) and len(found) != 1:
        raise RunError(
            f"{flag} has {len(found)} inputs, and images are one. Give a "
            "model with one input."
        )
    if isinstance(found, list | dict):
        (found,) = found.values() if isinstance(found, dict) else found
    if len(found) == 4 and all(
        side in (None, wanted)
        for side, wanted in zip(found[1:], image_shape, strict=True)
    ):
        return
    remedy = ""
    if len(found) == 4 and found[1] == found[2]:
        remedy = f", such as --image_size={found[1]} makes of a folder's"
    raise RunError(
        f"{flag} takes images of shape {_shown(found[1:])}, and those of the "
        f"dataset have shape {_shown(image_shape)}. Give images like its "
        f"own{remedy}, or a model for these."
    )


def _refuse_other_precision(model, flag):
    wanted = keras.config.dtype_policy().name
    computes = {
        layer.dtype_policy.name
        for _, layer in leaf_layers(model)
        if layer.trainable_weights
    }
    if computes and wanted not in computes:
        precision = wanted.removeprefix("mixed_")
        raise RunError(
            f"{flag} computes in {', '.join(sorted(computes))}, as it was "
            f"made, and --precision={precision} asks for {wanted}. Leave "
            "--precision out, or make the model under that dtype policy."
        )


def _shown(shape):
    sides = ["any" if side is None else str(side) for side in shape]
    return f"({', '.join(sides)})"
