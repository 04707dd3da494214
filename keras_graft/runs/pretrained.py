"""Weights that have learnt before, under new classifiers."""

from collections.abc import Sequence

import keras
import numpy as np

from keras_graft.runs.exit_codes import RunError
from keras_graft.structure.classifiers import backbone_weights
from keras_graft.structure.classifiers import classifier_of
from keras_graft.structure.conv_layers import leaf_layers
from keras_graft.structure.conv_layers import own_variables

IMAGENET = "imagenet"
# What `models.build` calls the layer that knows the pixels' statistics.
_STATISTICS = "normalization"
# Differences that a message names.
_NAMED = 5


def pixel_statistics(
    model: keras.Model,
) -> tuple[list[float], list[float]] | None:
    """Mean and standard deviation of the pixels that a network was made for.

    Args:
        model: A network; of one that `models.build` did not make nothing is
            known.
    """
    for _, layer in leaf_layers(model):
        if (
            isinstance(layer, keras.layers.Normalization)
            and layer.name == _STATISTICS
            and layer.input_mean is not None
        ):
            mean = np.ravel(layer.input_mean)
            std = np.sqrt(np.ravel(layer.input_variance))
            return mean.tolist(), std.tolist()
    return None


def begin_with(
    networks: Sequence[keras.Model], source: keras.Model, path: str
) -> None:
    """Gives networks all weights of another one but those of its classifier.

    Args:
        networks: Networks of one architecture.
        source: The network that has learnt before.
        path: Where it was, for errors.

    Raises:
        RunError: If it is of another architecture, or nothing in it has been
            learnt.
    """
    wanted, found = _layers(networks[0]), _layers(source)
    differences = [
        f"layer {i}: {_shown(a)} in --model, {_shown(b)} in the file"
        for i, (a, b) in enumerate(_pairs(wanted, found))
        if a != b
    ]
    if differences:
        more = len(differences) - _NAMED
        rest = f"\n  and {more} more" if more > 0 else ""
        raise RunError(
            f"--weights={path} does not fit --model: before the classifiers "
            f"the networks have {len(wanted)} layers with weights, and the "
            f"file {len(found)}. These differ:\n  "
            + "\n  ".join(differences[:_NAMED])
            + f"{rest}\nGive the --model that the file was trained as (also "
            "its alpha), or --model=PATH.keras with the same file."
        )
    values = [keras.ops.convert_to_numpy(v) for v in backbone_weights(source)]
    for network in networks:
        for variable, value in zip(
            backbone_weights(network), values, strict=True
        ):
            variable.assign(value)
        for _, layer in leaf_layers(network):
            if hasattr(layer, "finalize_state") and layer.weights:
                # `Normalization` computes with what it makes of its weights.
                layer.finalize_state()


def backbone_layers(network: keras.Model) -> list[keras.layers.Layer]:
    """The layers with weights before the classifier, in the network's order.

    Args:
        network: Any network.
    """
    end = classifier_of(network)
    return [
        layer
        for _, layer in leaf_layers(network)
        if own_variables(layer) and (end is None or layer is not end.layer)
    ]


def _layers(model):
    return [
        (type(layer).__name__, *(tuple(v.shape) for v in own_variables(layer)))
        for layer in backbone_layers(model)
    ]


def _pairs(one, other):
    for i in range(max(len(one), len(other))):
        yield (
            one[i] if i < len(one) else None,
            other[i] if i < len(other) else None,
        )


def _shown(layer):
    if layer is None:
        return "nothing"
    kind, *shapes = layer
    return f"{kind} {' '.join(map(str, shapes))}"
