"""How far apart the networks' predictions are."""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf


def prediction_divergence(probabilities: Sequence[np.ndarray]) -> float:
    """Mean Kullback-Leibler divergence over all ordered pairs of networks.

    Args:
        probabilities: N arrays of shape (examples, classes), each row a
            distribution.

    Returns:
        Nats, at least 0: the mean over pairs and examples of
        `sum p * log(p / q)`. 0 for a single network.
    """
    n = len(probabilities)
    if n < 2:
        return 0.0
    epsilon = keras.config.epsilon()
    p = np.maximum(np.asarray(probabilities, dtype="float64"), epsilon)
    log_p = np.log(p)
    # The sum over pairs, in time that grows with n and not its square. A
    # network paired with itself adds nothing.
    total = n * np.sum(p * log_p) - np.sum(p.sum(axis=0) * log_p.sum(axis=0))
    return float(max(total, 0.0) / (n * (n - 1) * p.shape[1]))


class DivergenceMonitor(keras.callbacks.Callback):
    """Logs how far apart the networks of a trainer predict.

    Logs `divergence` (see `prediction_divergence`) at the end of each epoch:
    just before the graft that opens the next one. Networks that agree have
    nothing to learn from each other.

    Args:
        images: Inputs to predict, shape (examples, ...).
        from_logits: Whether the networks give logits. Defaults to True.
        batch_size: Examples in a batch. Defaults to 256.
        output: Name of the output with the logits, of networks that give a
            dict. None: they give one output. Defaults to None.
    """

    def __init__(self, images, from_logits=True, batch_size=256, output=None):
        super().__init__()
        self.images = images
        self.from_logits = from_logits
        self.batch_size = batch_size
        self.output = output
        self._probabilities = None

    def on_train_begin(self, logs=None):
        shape = (None, *np.shape(self.images)[1:])
        dtype = np.asarray(self.images[:1]).dtype
        # Called layer by layer, deep networks would take as long as many
        # steps of training.
        self._probabilities = tf.function(
            self._predict, input_signature=[tf.TensorSpec(shape, dtype)]
        )

    def on_epoch_end(self, epoch, logs=None):
        batches = [
            self._probabilities(self.images[i : i + self.batch_size])
            for i in range(0, len(self.images), self.batch_size)
        ]
        logs["divergence"] = prediction_divergence(
            np.concatenate(batches, axis=1)
        )

    def _predict(self, images):
        networks = self.model.networks
        given = [n(images, training=False) for n in networks]
        if self.output is not None:
            given = [of_network[self.output] for of_network in given]
        outputs = tf.stack(given)
        return tf.nn.softmax(outputs) if self.from_logits else outputs
