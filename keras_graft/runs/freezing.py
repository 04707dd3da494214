"""Which layers of a network are trained, and from when on."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_graft.runs.exit_codes import RunError
from keras_graft.runs.pretrained import backbone_layers
from keras_graft.structure.classifiers import classifier_of

NONE = "none"
BACKBONE = "backbone"


def freeze(networks: Sequence[keras.Model], settings: Any) -> None:
    """Keeps the layers that `--freeze` names as they are.

    Args:
        networks: Networks of one architecture.
        settings: The run's flags.

    Raises:
        RunError: If a network has no such layers.
    """
    for network in networks:
        for layer in _frozen(network, settings):
            layer.trainable = False


def unfreeze(networks: Sequence[keras.Model], settings: Any) -> None:
    """Lets the layers learn that `freeze` kept as they are."""
    for network in networks:
        for layer in _frozen(network, settings):
            layer.trainable = True


def phases(settings: Any, done: int) -> list[int]:
    """Where a run's trainings end: with frozen layers, and then without.

    Args:
        settings: The run's flags.
        done: Epochs that are done.

    Returns:
        Numbers of epochs, the last of them all of the run's. The first of
        two ends where layers are unfrozen.
    """
    end = unfreeze_epoch(settings)
    if end is None or done > end:
        return [settings.epochs]
    return [end, settings.epochs]


def unfreeze_epoch(settings: Any) -> int | None:
    """The epoch from which on all layers learn, or None."""
    return None if settings.freeze == NONE else settings.unfreeze_epoch


def _frozen(network, settings):
    if settings.freeze == NONE:
        return []
    layers = backbone_layers(network)
    if classifier_of(network) is None:
        raise RunError(
            f"--freeze={settings.freeze} is for what comes before a "
            f"classifier, and --model={settings.model} does not show where "
            "that begins: it must be a functional or sequential model that "
            "ends with a Dense layer. Leave the flag out."
        )
    if settings.freeze == BACKBONE:
        return layers
    count = int(settings.freeze)
    if count > len(layers):
        raise RunError(
            f"--freeze={count}, and --model={settings.model} has "
            f"{len(layers)} layers with weights before its classifier. Give "
            f"{len(layers)} or less, or --freeze=backbone."
        )
    return layers[:count]
