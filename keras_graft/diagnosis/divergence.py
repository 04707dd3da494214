"""How far apart the networks' predictions are."""

from collections.abc import Sequence

import keras
import numpy as np


def prediction_divergence(probabilities: Sequence[np.ndarray]) -> float:
    """Mean Kullback-Leibler divergence over all ordered pairs of networks.

    Args:
        probabilities: N arrays of shape (examples, classes), each row a
            distribution.

    Returns:
        Nats, at least 0: the mean over pairs and examples of
        `sum p * log(p / q)`. 0 for a single network.
    """
    epsilon = keras.config.epsilon()
    clipped = [
        np.maximum(np.asarray(p, dtype="float64"), epsilon)
        for p in probabilities
    ]
    pairs = [
        np.mean(np.sum(p * (np.log(p) - np.log(q)), axis=-1))
        for i, p in enumerate(clipped)
        for j, q in enumerate(clipped)
        if i != j
    ]
    return float(np.mean(pairs)) if pairs else 0.0


class DivergenceMonitor(keras.callbacks.Callback):
    """Logs how far apart the networks of a trainer predict.

    Logs `divergence` (see `prediction_divergence`) at the end of each epoch:
    just before the graft that opens the next one. Networks that agree have
    nothing to learn from each other.

    Args:
        images: Inputs to predict, shape (examples, ...).
        from_logits: Whether the networks give logits. Defaults to True.
        batch_size: Examples in a batch. Defaults to 256.
    """

    def __init__(self, images, from_logits=True, batch_size=256):
        super().__init__()
        self.images = images
        self.from_logits = from_logits
        self.batch_size = batch_size

    def on_epoch_end(self, epoch, logs=None):
        outputs = [self._predict(n) for n in self.model.networks]
        logs["divergence"] = prediction_divergence(outputs)

    def _predict(self, network):
        starts = range(0, len(self.images), self.batch_size)
        outputs = np.concatenate(
            [
                network(self.images[i : i + self.batch_size], training=False)
                for i in starts
            ]
        )
        if not self.from_logits:
            return outputs
        return keras.ops.convert_to_numpy(keras.ops.softmax(outputs))
