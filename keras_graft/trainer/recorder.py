"""What `fit` writes down for the networks after each epoch."""

import logging
from collections.abc import Sequence
from typing import Any

import keras

from keras_graft.distribution.keras_gaps import averages_are_swapped_in
from keras_graft.optimizers.moving_averages import inner_optimizer
from keras_graft.optimizers.moving_averages import keep_as_averages
from keras_graft.optimizers.rates import current_rate
from keras_graft.trainer.callback_order import grafts_of
from keras_graft.trainer.callback_order import judges_of
from keras_graft.trainer.skipped_steps import first_named

_LOG = logging.getLogger(__name__)


class Recorder(keras.callbacks.Callback):
    """Logs learning rates, keeps scores, and watches the networks' health.

    Args:
        trainer: The `GraftTrainer`.
        callbacks: Those that this `fit` was given.
        validated: Whether it was given validation data.

    Raises:
        ValueError: If the trainer's `monitor` is none of its logs.
    """

    def __init__(
        self,
        trainer: Any,
        callbacks: Sequence[keras.callbacks.Callback],
        validated: bool,
    ):
        super().__init__()
        self._trainer = trainer
        self._callbacks = callbacks
        self._grafts = grafts_of(callbacks)
        self._judges = judges_of(callbacks)
        trainer.health.judged_by(self._judges)
        self._validated = validated
        trainer.monitored()
        self._named = False

    def on_epoch_begin(self, epoch, logs=None):
        self._trainer.health.skipped.reset()

    def on_epoch_end(self, epoch, logs=None):
        trainer = self._trainer
        for k, optimizer in enumerate(trainer.optimizer.optimizers):
            logs[f"learning_rate_network_{k}"] = current_rate(optimizer)
        skipped = trainer.health.skipped.counted()
        for k, one in enumerate(skipped):
            logs[f"network_{k}_skipped_steps"] = one.count
        line = first_named(skipped, epoch)
        if line and not self._named:
            _LOG.warning(line)
            self._named = True
        for judge in self._judges:
            logs.update(judge.judged())
        trainer.health.keep_scores(logs, self._validated)
        graft_follows = any(g.is_due_after(epoch) for g in self._grafts)
        trainer.health.end_epoch(epoch, graft_follows)
        if not trainer.health.any_left():
            _LOG.error("Every network diverged: training stops.")
            trainer.stop_training = True

    def on_train_end(self, logs=None):
        # Keras does this for a model with one optimizer.
        trainer = self._trainer
        swapped = any(map(averages_are_swapped_in, self._callbacks))
        for optimizer, network in zip(
            trainer.optimizer.optimizers, trainer.networks, strict=True
        ):
            if swapped:
                # The last epoch was not to be the last one: Keras would swap
                # the averages out again.
                keep_as_averages(optimizer)
            inner_optimizer(optimizer).finalize_variable_values(
                network.trainable_variables
            )
