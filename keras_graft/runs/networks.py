"""From `--model` to the networks of a run."""

from collections.abc import Sequence

import keras
import numpy as np

from keras_graft import models
from keras_graft.models import applications
from keras_graft.models import presets
from keras_graft.models import sources
from keras_graft.runs import own_models
from keras_graft.runs.exit_codes import DATA_UNAVAILABLE
from keras_graft.runs.exit_codes import RunError
from keras_graft.structure.conv_layers import leaf_layers
from keras_graft.structure.replicate import replicate


def build(
    model: str,
    num_classes: int,
    image_shape: tuple[int, ...],
    seeds: Sequence[int] = (0,),
    pixel_mean: Sequence[float] | None = None,
    pixel_std: Sequence[float] | None = None,
    weights: str | None = None,
) -> list[keras.Model]:
    """Builds networks of one architecture, in the current strategy's scope.

    Args:
        model: The value of `--model`.
        num_classes: Number of logits.
        image_shape: Shape of an image.
        seeds: Of the initial weights of each network.
        pixel_mean: As of `models.build`, for a network of this package.
        pixel_std: Likewise.
        weights: The value of `--weights`. Those of a saved network are not
            given to the networks here, which only get their classifiers.

    Raises:
        RunError: If the model cannot be had, or is none for these images.
    """
    source = sources.source_of(model)
    if source.kind == sources.NAMED:
        return [
            models.build(
                model,
                num_classes,
                input_shape=image_shape,
                seed=seed,
                pixel_mean=pixel_mean,
                pixel_std=pixel_std,
            )
            for seed in seeds
        ]
    flag = f"--model={model}"
    if source.kind == sources.FILE:
        networks = _of_file(
            source.name, flag, num_classes, image_shape, seeds, weights
        )
    else:
        networks = []
        for seed in seeds:
            # What has no seed of its own follows it.
            keras.utils.set_random_seed(seed)
            networks.append(
                _made(source, flag, num_classes, image_shape, seed, weights)
            )
    for network in networks:
        _synchronize(network)
    return networks


def network_seed(seed: int, k: int) -> int:
    """Seed of network k's initial weights; the same whatever N is.

    Args:
        seed: Seed of the run.
        k: Position of the network.
    """
    return int(np.random.SeedSequence([seed, k]).generate_state(1)[0])


def _of_file(path, flag, num_classes, image_shape, seeds, weights):
    found = own_models.classifying(
        own_models.load(path, "model"),
        flag,
        num_classes,
        image_shape,
        new_classes=weights is not None,
    )
    # What is frozen would be copied. It may be in parts, of which Keras knows
    # only when it changes.
    found.trainable = False
    found.trainable = True
    try:
        return [
            own_models.of_size(replicate(found, 1, seed)[0], image_shape)
            for seed in seeds
        ]
    except ValueError as error:
        raise RunError(f"{flag}: {error}") from error


def _made(source, flag, num_classes, image_shape, seed, weights):
    if source.kind == sources.FUNCTION:
        made = own_models.call(source.name, num_classes, image_shape)
        made = own_models.classifying(made, flag, num_classes, image_shape)
        return own_models.of_size(made, image_shape)
    loaded = None if (weights or "").endswith(".keras") else weights
    try:
        if source.kind == sources.APPLICATIONS:
            return applications.build(
                source.name,
                num_classes,
                image_shape,
                seed,
                source.arguments,
                loaded,
            )
        return presets.build(
            source.kind,
            source.name,
            num_classes,
            image_shape,
            seed,
            loaded is not None,
        )
    # What downloads, or reads a file, raises errors of many kinds, plain
    # Exception among them.
    except Exception as error:
        if (loaded or "").endswith(".h5"):
            raise RunError(
                f"--weights={loaded} does not fit {flag}: {error}. It must "
                "hold the weights of this very network without its "
                "classifier, as keras.applications has them with "
                "include_top=False."
            ) from error
        if isinstance(error, ValueError):
            raise RunError(
                f"{flag} cannot be made for images of shape {image_shape}: "
                f"{error}"
            ) from error
        if source.kind == sources.APPLICATIONS and loaded is None:
            raise
        raise _not_at_hand(source, flag, loaded, error) from error


def _not_at_hand(source, flag, weights, error):
    if source.kind == sources.APPLICATIONS:
        what = f"The weights of {source.name} for ImageNet are not at hand"
        remedy = (
            "copy ~/.keras/models from a machine where\n     "
            f"keras.applications.{source.name}(include_top=False) was called "
            "once, for images of this size"
        )
    else:
        what = f"{flag} is not at hand"
        remedy = (
            "copy the folder of the preset from another machine, and name "
            f"it: --model={source.kind}:FOLDER"
        )
    instead = (
        ";\n  3. give a network of your own: --weights=PATH.keras"
        if weights
        else ""
    )
    return RunError(
        f"{what}, and cannot be fetched: {error}. Do one of these:\n"
        f"  1. go online and start again;\n  2. {remedy}{instead}.",
        DATA_UNAVAILABLE,
    )


def _synchronize(network):
    """Lets replicas share the statistics of a batch, as they share it."""
    for _, layer in leaf_layers(network):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = True
