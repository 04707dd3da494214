"""What `fit` writes down for the networks after each epoch."""

import logging
from collections.abc import Sequence
from typing import Any

import keras

from keras_graft.optimizers.moving_averages import inner_optimizer
from keras_graft.optimizers.rates import current_rate

_LOG = logging.getLogger(__name__)


class Recorder(keras.callbacks.Callback):
    """Logs learning rates, keeps scores, and watches the networks' health.

    Args:
        trainer: The `GraftTrainer`.
        grafts: The callbacks of this `fit` that graft.
    """

    def __init__(self, trainer: Any, grafts: Sequence):
        super().__init__()
        self._trainer = trainer
        self._grafts = grafts

    def on_epoch_end(self, epoch, logs=None):
        trainer = self._trainer
        for k, optimizer in enumerate(trainer.optimizer.optimizers):
            logs[f"learning_rate_network_{k}"] = current_rate(optimizer)
        trainer.health.keep_scores(logs)
        graft_follows = any(g.is_due_after(epoch) for g in self._grafts)
        trainer.health.end_epoch(epoch, graft_follows)
        if not trainer.health.any_left():
            _LOG.error("Every network diverged: training stops.")
            trainer.stop_training = True

    def on_train_end(self, logs=None):
        # Keras does this for a model with one optimizer.
        trainer = self._trainer
        for optimizer, network in zip(
            trainer.optimizer.optimizers, trainer.networks, strict=True
        ):
            inner_optimizer(optimizer).finalize_variable_values(
                network.trainable_variables
            )
