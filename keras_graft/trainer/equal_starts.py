"""Networks that start equal and see equal batches stay one network."""

import logging
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_graft.optimizers.network_optimizers import equal_optimizers
from keras_graft.structure.conv_layers import leaf_layers
from keras_graft.trainer.views import has_views

_LOG = logging.getLogger(__name__)


def warn_of_equal_starts(
    networks: Sequence[keras.Model],
    optimizers: Sequence[keras.optimizers.Optimizer],
    x: Any,
) -> bool:
    """Says which networks have nothing to learn apart.

    Args:
        networks: N models.
        optimizers: Their optimizers.
        x: Inputs of one example, or a view of it for each network.

    Returns:
        Whether there are such.
    """
    if has_views(x, len(networks)):
        return False
    alike = _alike(networks, optimizers)
    if not alike:
        return False
    names = [f"network_{k}" for k in alike]
    apart = (
        "Only their random layers, such as Dropout, tell them apart."
        if any(_is_random(networks[k]) for k in alike)
        else "They stay one network, however long they train."
    )
    _LOG.warning(
        "%s and %s start with equal weights, optimizers and learning rates, "
        "and see the same batches. %s Give them other weights "
        "(keras_graft.replicate(model, n, seed=0)), other rates "
        "(keras_graft.grafting.ring_learning_rates(rate, n)) or a view of "
        "the batch each ({'network_0': x, 'network_1': ...}).",
        ", ".join(names[:-1]),
        names[-1],
        apart,
    )
    return True


def _alike(
    networks: Sequence[keras.Model],
    optimizers: Sequence[keras.optimizers.Optimizer],
) -> list[int]:
    """Positions of the first networks that are equal, or none."""
    for k, network in enumerate(networks):
        same = [
            j
            for j in range(k + 1, len(networks))
            if _equal(network, networks[j])
            and equal_optimizers(optimizers[k], optimizers[j])
        ]
        if same:
            return [k, *same]
    return []


def _equal(one, other):
    if not one.built or not other.built:
        return False
    if len(one.weights) != len(other.weights):
        return False
    # Ends with the first weight that differs, most often the first of all.
    return bool(one.weights) and all(
        a.shape == b.shape and np.array_equal(_value(a), _value(b))
        for a, b in zip(
            _largest_first(one.weights),
            _largest_first(other.weights),
            strict=True,
        )
    )


def _largest_first(weights):
    # Biases are often 0 everywhere; the order is the same for both.
    return sorted(weights, key=lambda weight: len(weight.shape) < 2)


def _value(weight):
    return keras.ops.convert_to_numpy(weight)


def _is_random(network):
    return any(
        getattr(layer, "seed_generator", None) is not None
        for _, layer in leaf_layers(network)
    )
