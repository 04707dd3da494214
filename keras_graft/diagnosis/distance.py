"""How far apart the networks' weights are."""

import itertools
from collections.abc import Sequence

import keras
import numpy as np

from keras_graft.structure.classifiers import backbone_weights


def weight_distance(kernels: Sequence[Sequence[np.ndarray]]) -> float:
    """Mean relative distance over all pairs of networks.

    Args:
        kernels: Of each network the same number of arrays, each as large as
            that of the others.

    Returns:
        The mean over pairs of `|a - b|` over the root of the mean of `|a|^2`
        and `|b|^2`, all kernels of a network as one vector: 0 for equal
        networks, about 1.4 for independent ones; 0 for a single network.
    """
    flat = [
        np.concatenate([np.ravel(k).astype("float64") for k in of_network])
        for of_network in kernels
    ]
    distances = []
    for a, b in itertools.combinations(flat, 2):
        size = np.sqrt((a @ a + b @ b) / 2)
        distances.append(np.linalg.norm(a - b) / size if size else 0.0)
    return float(np.mean(distances)) if distances else 0.0


class DistanceMonitor(keras.callbacks.Callback):
    """Logs how far apart the networks of a trainer are before their ends.

    Logs `distance` (see `weight_distance`) of all kernels but those of the
    classifiers at the end of each epoch. Networks that begin with the same
    weights have 0 there until they are trained.
    """

    def on_epoch_end(self, epoch, logs=None):
        logs["distance"] = weight_distance(
            [kernels_of(network) for network in self.model.networks]
        )


def kernels_of(network: keras.Model) -> list[np.ndarray]:
    """The kernels of a network, without its classifier's."""
    return [
        keras.ops.convert_to_numpy(weight)
        for weight in backbone_weights(network)
        if len(weight.shape) > 1
    ]
