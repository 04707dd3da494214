"""Ships an average of weights over the last epochs.

Stochastic weight averaging (arXiv 1803.05407): the learning rate follows the
run's schedule over the first three quarters of the epochs and then stays; the
weights at the end of each later epoch are averaged, and BatchNormalization is
estimated anew for the average. Networks that are grafted from each other to
the end lie near each other, so that theirs are averaged together; others have
an average each.
"""

import time
from typing import Any

import keras
import numpy as np

from keras_graft.grafting.batch_norm import reestimate_batch_norm
from keras_graft.runs import recipe
from keras_graft.runs import strategy as devices
from keras_graft.runs.progress import Progress
from keras_graft.runs.run_directory import RunDirectory

_HELD_FROM = 0.75


class HeldSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """Another schedule up to a step, and its value there from then on.

    Args:
        schedule: A learning rate or a Keras schedule.
        step: Where the learning rate stays.
    """

    def __init__(self, schedule, step):
        self._schedule = schedule
        self._step = step

    def __call__(self, step):
        if not callable(self._schedule):
            return self._schedule
        return self._schedule(keras.ops.minimum(step, self._step))

    def get_config(self):
        return {"schedule": self._schedule, "step": self._step}


class WeightAverage(keras.callbacks.Callback):
    """Averages the networks' weights at the end of their last epochs.

    Args:
        start: First epoch, counted from 0, whose weights count.
        together: Whether the networks have one average, over all of them.
    """

    def __init__(self, start, together=False):
        super().__init__()
        self._start = start
        self._together = together
        self._count = 0
        self._means = []

    def on_epoch_end(self, epoch, logs=None):
        if epoch < self._start:
            return
        weights = [n.get_weights() for n in self.model.networks]
        if self._together:
            weights = [[np.mean(w, axis=0) for w in zip(*weights, strict=True)]]
        if not self._count:
            self._means = [
                [np.zeros(w.shape, "float64") for w in of_network]
                for of_network in weights
            ]
        self._count += 1
        for means, of_network in zip(self._means, weights, strict=True):
            for mean, weight in zip(means, of_network, strict=True):
                mean += (weight - mean) / self._count

    def apply(self) -> None:
        """Puts the averages into the networks."""
        for k, network in enumerate(self.model.networks):
            network.set_weights(self._means[0 if self._together else k])


def run(settings: Any) -> float:
    """Trains and saves the averages as `network_k.keras`.

    Args:
        settings: The run's flags.

    Returns:
        Seconds of the training.
    """
    strategy = devices.make_strategy(settings.strategy, settings.replicas)
    devices.set_precision(settings.precision)
    splits = recipe.load_splits(settings)
    batches = recipe.TrainingData(settings, splits)
    steps = batches.steps_per_epoch
    hold = round(_HELD_FROM * settings.epochs)
    with devices.scope_of(strategy):
        trainer = recipe.make_trainer(settings, splits)
        rates = recipe.learning_rates(settings)
        for optimizer, rate in zip(
            trainer.optimizer.optimizers, rates, strict=True
        ):
            course = recipe.schedule(
                rate, settings.schedule, settings.epochs, steps
            )
            optimizer.learning_rate = HeldSchedule(course, hold * steps)
    directory = RunDirectory(settings.workdir)
    graft = recipe.make_graft_callback(settings)
    to_the_end = graft is not None and settings.graft_stop is None
    average = WeightAverage(
        min(hold, settings.epochs - 1),
        together=to_the_end and settings.graft_source == "external",
    )
    started = time.monotonic()
    trainer.fit(
        batches,
        epochs=settings.epochs,
        validation_data=recipe.evaluation_data(
            settings, splits, recipe.monitored_split(splits)
        ),
        callbacks=[
            *([] if graft is None else [graft]),
            average,
            keras.callbacks.CSVLogger(str(directory.history)),
            Progress(settings.epochs, steps),
        ],
        verbose=0,
    )
    average.apply()
    images = _images(batches.from_epoch(0).take(steps))
    for network in trainer.networks:
        reestimate_batch_norm(network, images, settings.batch_size)
    seconds = time.monotonic() - started
    for k, network in enumerate(trainer.networks):
        network.save(directory.network(k))
    return seconds


def _images(batches):
    """The images of some batches, as network 0 sees them."""
    views = [x["network_0"] if isinstance(x, dict) else x for x, _ in batches]
    return np.concatenate(views)
