"""Makes a diverged network anew from a healthy one."""

from typing import Any

import keras
import numpy as np

from keras_graft.optimizers.moving_averages import averages_of
from keras_graft.optimizers.moving_averages import inner_optimizer
from keras_graft.structure.printable import printable
from keras_graft.structure.variable_values import value_of


def first_non_finite(network: keras.Model) -> str | None:
    """Path of the first weight with NaN or infinity in it, or None."""
    for variable in network.weights:
        if not np.isfinite(value_of(variable)).all():
            return printable(variable.path)
    return None


def heal(
    network: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    peer: keras.Model,
    peer_optimizer: keras.optimizers.Optimizer,
) -> None:
    """Gives a network the weights of a peer, and its optimizer fresh slots.

    The learning rate stays the network's own; the step counter becomes the
    peer's, so that a schedule goes on where the run is.

    Args:
        network: Built model, changed in place.
        optimizer: Its optimizer, built, changed in place.
        peer: Model of the same architecture.
        peer_optimizer: Its optimizer, built.
    """
    for own, other in zip(network.weights, peer.weights, strict=True):
        own.assign(other)
    fresh = _fresh_copy(optimizer, network.trainable_variables)
    for own, new in zip(optimizer.variables, fresh.variables, strict=True):
        own.assign(new)
    inner_optimizer(optimizer).iterations.assign(
        inner_optimizer(peer_optimizer).iterations
    )
    averages = averages_of(peer_optimizer)
    for weight, average in averages_of(optimizer).items():
        average.assign(_counterpart(weight, network, peer, averages))


def _fresh_copy(optimizer, variables) -> Any:
    # Its config holds the learning rate of this moment.
    fresh = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    fresh.build(variables)
    return fresh


def _counterpart(weight, network, peer, averages):
    """The peer's average of a weight, or where it has none the weight."""
    variables = network.trainable_variables
    position = [id(v) for v in variables].index(weight)
    other = peer.trainable_variables[position]
    return averages.get(id(other), other)
