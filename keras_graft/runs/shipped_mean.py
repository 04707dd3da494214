"""The mean of all networks, where a run ships that."""

import keras

from keras_graft.runs.callbacks import statistics_images
from keras_graft.runs.task import Task
from keras_graft.swa import mean_network
from keras_graft.trainer import GraftTrainer


def shipped_mean(
    task: Task, trainer: GraftTrainer
) -> tuple[keras.Model, dict[str, float]]:
    """Makes the mean of all live networks, and tests it.

    Args:
        task: What the run is for.
        trainer: Its trainer, trained.

    Returns:
        `(network, logs)`: the network, as it is to be saved, and what
        `task.mean_tested` says of it.
    """
    network = mean_network(
        trainer,
        lambda: statistics_images(task.training_data),
        task.settings.batch_size,
    )
    return network, task.mean_tested(network)
