"""The mean of all networks, where a run ships that."""

from typing import Any

import keras

from keras_graft import data
from keras_graft.runs import recipe
from keras_graft.runs.batches import TrainingData
from keras_graft.runs.callbacks import statistics_images
from keras_graft.swa import mean_network
from keras_graft.trainer import GraftTrainer


def shipped_mean(
    settings: Any,
    splits: data.Splits,
    trainer: GraftTrainer,
    batches: TrainingData,
) -> tuple[keras.Model, float]:
    """Makes the mean of all live networks, and evaluates it.

    Args:
        settings: The run's flags.
        splits: Its images.
        trainer: Its trainer, trained.
        batches: Its training data.

    Returns:
        `(network, test_accuracy)`: the network, compiled.
    """
    network = mean_network(
        trainer, lambda: statistics_images(batches), settings.batch_size
    )
    network.compile(optimizer="sgd", loss=recipe.loss(), metrics=["accuracy"])
    test = data.evaluation_batches(splits.test, max(settings.batch_size, 256))
    logs = network.evaluate(test, verbose=0, return_dict=True)
    return network, float(logs["accuracy"])
