"""Ends a `fit` between two steps when a signal has come."""

from typing import Any

from keras_graft.trainer.callback_order import StagedCallback


class StopAtSignal(StagedCallback):
    """Looks for a signal after every step, and when an epoch begins.

    The step that runs is finished and the rest of its epoch is dropped; an
    epoch that has ended is saved first.

    Args:
        signals: The `StopSignals` of the command.
    """

    def __init__(self, signals: Any):
        super().__init__()
        self._signals = signals

    def on_epoch_begin(self, epoch, logs=None):
        self._signals.check()

    def on_train_batch_end(self, batch, logs=None):
        self._signals.check()

    def on_test_batch_end(self, batch, logs=None):
        self._signals.check()
