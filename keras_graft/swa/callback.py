"""`StochasticWeightAveraging`: ends a `fit` with averaged weights."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_graft.checks.numbers import is_whole
from keras_graft.structure.batch_norm_statistics import reestimate_batch_norm


class StochasticWeightAveraging(keras.callbacks.Callback):
    """Replaces weights by their mean over the last epochs, when `fit` ends.

    The weights at the end of each epoch from `start` on are averaged, and
    moving statistics of BatchNormalization are computed anew for the average
    (arXiv 1803.05407). Works with a `GraftTrainer`, network by network, and
    with any other Keras model.

    Weights have to move for that: hold the learning rate, see
    `keras_graft.swa.HeldSchedule`. What is logged, validated and saved while
    `fit` runs are the weights of the epoch; the average is there when it
    returns.

    Networks that are masked or retired in an epoch are left out of it.

    Args:
        start: First epoch that counts, from 0. A `fit` that ends before it
            keeps its weights.
        images: Inputs for the statistics of BatchNormalization, as for
            `grafting.reestimate_batch_norm`: shape (examples, ...), seen and
            augmented as in training; or a function without arguments that
            returns them, called once. None leaves the mean of the epochs'
            statistics, which is enough without BatchNormalization. Defaults
            to None.
        batch_size: Examples in a batch of those. Defaults to 256.
        together: Whether all networks have one average, over all of them:
            for networks that are grafted from each other to the end, which
            lie near each other. Others would lose everything. Defaults to
            False.
        validation_data: As for `fit`; the networks are judged by it
            anew, so that `trainer.best_network` is the best average. None
            judges by the last epoch, before averaging. Defaults to None.

    Attributes:
        num_epochs: Epochs that are in the average, for each network.

    Raises:
        ValueError: If `start` or `batch_size` is no such number.

    Example:

    ```python
    schedule = keras.optimizers.schedules.CosineDecay(0.1, 100 * steps)
    trainer.compile(
        keras.optimizers.SGD(HeldSchedule(schedule, 75 * steps), momentum=0.9),
        loss, metrics=["accuracy"],
    )
    swa = StochasticWeightAveraging(
        start=75, images=x[:10_000], validation_data=(x_val, y_val)
    )
    trainer.fit(x, y, epochs=100, callbacks=[swa])
    trainer.best_network.save("shipped.keras")
    ```
    """

    def __init__(
        self,
        start: int,
        images: Any = None,
        batch_size: int = 256,
        together: bool = False,
        validation_data: Any = None,
    ) -> None:
        super().__init__()
        if not is_whole(start, 0):
            raise ValueError(
                "`start` is an epoch, counted from 0, so it must be a whole "
                f"number, at least 0. Received: {start!r}"
            )
        if not is_whole(batch_size, 1):
            raise ValueError(
                "`batch_size` must be a whole number, at least 1. Received: "
                f"{batch_size!r}"
            )
        self.start = start
        self.images = images
        self.batch_size = batch_size
        self.together = together
        self.validation_data = validation_data
        self.num_epochs: list[int] = []
        self._means: list[list[np.ndarray]] = []

    def get_state(self) -> dict[str, Any]:
        """What `RunCheckpoint` saves."""
        return {
            "start": self.start,
            "num_epochs": self.num_epochs,
            "means": self._means,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Goes on from what `get_state` returned.

        Args:
            state: The state.

        Raises:
            ValueError: If it is not one of this callback and this model.
        """
        if state["start"] != self.start:
            return  # Longer than it was to be: other epochs count now.
        counts, means = list(state["num_epochs"]), list(state["means"])
        if any(type(count) is not int or count < 0 for count in counts):
            raise ValueError(f"`num_epochs` is {counts}, which counts nothing")
        possible = (self.params or {}).get("epochs", np.inf) - self.start
        if any(count > max(possible, 0) for count in counts):
            raise ValueError(
                f"`num_epochs` is {counts}, and {max(possible, 0)} are averaged"
            )
        networks = self._networks()
        expected = 1 if self.together else len(networks)
        if (len(counts), len(means)) != (expected, expected):
            raise ValueError(f"it is not of {expected} averages")
        for k, of_network in enumerate(means):
            shapes = [np.asarray(m, "float64").shape for m in of_network]
            wanted = [w.shape for w in networks[k].get_weights()]
            if shapes != (wanted if counts[k] else []):
                raise ValueError(f"`means` {k} has other shapes than a network")
            if not all(np.isfinite(m).all() for m in of_network):
                raise ValueError(f"`means` {k} is not finite")
        self.num_epochs = counts
        self._means = [list(of_network) for of_network in means]

    def on_train_begin(self, logs=None):
        count = 1 if self.together else len(self._networks())
        self.num_epochs = [0] * count
        self._means = [[] for _ in range(count)]

    def on_epoch_end(self, epoch, logs=None):
        if epoch < self.start:
            return
        weights = {k: self._networks()[k].get_weights() for k in self._live()}
        if self.together:
            if weights:
                self._add(0, _mean_of(list(weights.values())))
            return
        for k, of_network in weights.items():
            self._add(k, of_network)

    def on_train_end(self, logs=None):
        if not any(self.num_epochs) or not self._live():
            return
        images = self.images() if callable(self.images) else self.images
        for k in self._live():
            means = self._means[0 if self.together else k]
            if not means:
                continue
            network = self._networks()[k]
            network.set_weights(means)
            if images is not None:
                reestimate_batch_norm(network, images, self.batch_size)
        if self.validation_data is not None:
            self._judge()

    def _networks(self) -> Sequence[keras.Model]:
        return getattr(self.model, "networks", None) or [self.model]

    def _live(self):
        status = getattr(self.model, "status", None)
        return [
            k
            for k in range(len(self._networks()))
            if status is None or status[k] == "live"
        ]

    def _add(self, k, weights):
        if not self._means[k]:
            # Not in float32: the mean of many epochs would lose digits.
            self._means[k] = [np.zeros(w.shape, "float64") for w in weights]
        self.num_epochs[k] += 1
        for mean, weight in zip(self._means[k], weights, strict=True):
            mean += (weight - mean) / self.num_epochs[k]

    def _judge(self):
        health = getattr(self.model, "health", None)
        if health is None:
            return
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(
            self.validation_data
        )
        logs = self.model.evaluate(
            x, y, sample_weight=sample_weight, verbose=0, return_dict=True
        )
        health.keep_scores({f"val_{name}": v for name, v in logs.items()})


def _mean_of(networks):
    return [np.mean(w, axis=0) for w in zip(*networks, strict=True)]
