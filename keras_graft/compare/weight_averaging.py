"""Ships the average of one network's weights over its last epochs.

Stochastic weight averaging (arXiv 1803.05407): the learning rate follows the
run's schedule over the first three quarters of the epochs and then stays; the
weights at the end of each later epoch are averaged, and BatchNormalization is
estimated anew for the average.
"""

import time
from typing import Any

import keras
import numpy as np

from keras_graft import data
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
    """Averages the weights of network 0 at the end of its last epochs.

    Args:
        start: First epoch, counted from 0, whose weights count.
    """

    def __init__(self, start):
        super().__init__()
        self._start = start
        self._count = 0
        self._mean = []

    def on_epoch_end(self, epoch, logs=None):
        if epoch < self._start:
            return
        weights = self.model.networks[0].get_weights()
        if not self._count:
            self._mean = [np.zeros(w.shape, "float64") for w in weights]
        self._count += 1
        for mean, weight in zip(self._mean, weights, strict=True):
            mean += (weight - mean) / self._count

    def apply(self) -> None:
        """Puts the averages into the network."""
        self.model.networks[0].set_weights(self._mean)


def training_batches(settings: Any, splits: data.Splits) -> Any:
    """The batches of a run of one network."""
    return data.training_batches(
        splits.train,
        batch_size=settings.batch_size,
        seed=settings.seed,
        augment=settings.augment,
        num_classes=splits.num_classes,
        steps_per_epoch=settings.steps_per_epoch,
    )


def run(settings: Any) -> float:
    """Trains one network and saves its average as `network_0.keras`.

    Args:
        settings: The run's flags, for one network without graft.

    Returns:
        Seconds of the training.
    """
    strategy = devices.make_strategy(settings.strategy, settings.replicas)
    devices.set_precision(settings.precision)
    splits = recipe.load_splits(settings)
    steps = recipe.steps_per_epoch(settings, splits)
    hold = round(_HELD_FROM * settings.epochs)
    with devices.scope_of(strategy):
        trainer = recipe.make_trainer(settings, splits)
        (rate,) = recipe.learning_rates(settings)
        (optimizer,) = trainer.optimizer.optimizers
        optimizer.learning_rate = HeldSchedule(
            recipe.schedule(rate, settings.schedule, settings.epochs, steps),
            hold * steps,
        )
    directory = RunDirectory(settings.workdir)
    average = WeightAverage(min(hold, settings.epochs - 1))
    batches = training_batches(settings, splits)
    started = time.monotonic()
    trainer.fit(
        batches,
        epochs=settings.epochs,
        steps_per_epoch=steps,
        validation_data=recipe.evaluation_data(
            settings, splits, recipe.monitored_split(splits)
        ),
        callbacks=[
            average,
            keras.callbacks.CSVLogger(str(directory.history)),
            Progress(settings.epochs, steps),
        ],
        verbose=0,
    )
    average.apply()
    (network,) = trainer.networks
    images = np.concatenate([x for x, _ in batches.take(steps)])
    reestimate_batch_norm(network, images, settings.batch_size)
    seconds = time.monotonic() - started
    network.save(directory.network(0))
    return seconds
