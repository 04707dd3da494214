"""Lets Keras' own callbacks find in a trainer what they look for."""

import logging
import re
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import keras

from keras_graft.optimizers.rates import rated

_LOG = logging.getLogger(__name__)

_OF_RATES = (
    keras.callbacks.LearningRateScheduler,
    keras.callbacks.ReduceLROnPlateau,
)
_OF_A_LOG = (
    keras.callbacks.EarlyStopping,
    keras.callbacks.ModelCheckpoint,
    keras.callbacks.ReduceLROnPlateau,
)
_OURS = re.compile(r"(val_)?(network_\d+_|ensemble_|distillation_)(?P<of>.+)")


def helpers_for(
    callbacks: Sequence[keras.callbacks.Callback], trainer: Any
) -> list[keras.callbacks.Callback]:
    """What has to run before the callbacks of a `fit`.

    Args:
        callbacks: They.
        trainer: The `GraftTrainer`.
    """
    helpers: list[keras.callbacks.Callback] = [StockCallbacks(callbacks)]
    if any(isinstance(c, keras.callbacks.TerminateOnNaN) for c in callbacks):
        if trainer.num_networks == 1:
            helpers.append(LossOfSkippedStep())
        else:
            _LOG.warning(
                "TerminateOnNaN looks at the mean loss of the live networks, "
                "which is finite while one of them is: a network that is not "
                "is masked, and training ends when none is left."
            )
    return helpers


class StockCallbacks(keras.callbacks.Callback):
    """Gives them the learning rates as one, and the direction of our logs.

    A scheduler would write one rate into every optimizer, and rates in a ring
    would be equal from then on. A `SwapEMAWeights` looks for averages in what
    has a loss scale, not inside of it. An `EarlyStopping` knows the direction
    of `val_accuracy`, and not of `val_ensemble_accuracy`.

    Args:
        callbacks: The callbacks of this `fit`.
    """

    def __init__(self, callbacks: Sequence[keras.callbacks.Callback]):
        super().__init__()
        self._callbacks = callbacks

    def on_train_begin(self, logs=None):
        for callback in self._callbacks:
            if isinstance(callback, _OF_RATES):
                callback.set_model(_Seen(self.model, _OneRate))
            elif isinstance(callback, keras.callbacks.SwapEMAWeights):
                # To its end, which comes after that of this one.
                callback.set_model(_Seen(self.model, _Unwrapped))

    def on_train_end(self, logs=None):
        for callback in self._callbacks:
            if isinstance(callback, _OF_RATES):
                callback.set_model(self.model)

    def on_epoch_end(self, epoch, logs=None):
        # Not before, since metrics are built by the first batch.
        for callback in self._callbacks:
            if isinstance(callback, _OF_A_LOG) and callback.mode == "auto":
                named = _OURS.fullmatch(callback.monitor)
                if named:
                    direction = _direction(self.model, named["of"])
                    callback.mode = direction or callback.mode


class LossOfSkippedStep(keras.callbacks.Callback):
    """Shows the loss of a step that was skipped as the NaN that it was.

    For `TerminateOnNaN`: the loss in the logs is a mean over the steps that
    were taken.
    """

    def on_train_batch_end(self, batch, logs=None):
        if logs is not None and self.model.status[0] != "live":
            logs["loss"] = float("nan")


class _Seen:
    """A trainer whose optimizer is seen in another way."""

    def __init__(self, trainer: Any, view: Callable):
        vars(self).update(_trainer=trainer, _view=view)

    @property
    def optimizer(self):
        return self._view(self._trainer.optimizer)

    def __getattr__(self, name):
        return getattr(self._trainer, name)

    def __setattr__(self, name, value):
        setattr(self._trainer, name, value)


class _Unwrapped:
    """The optimizers that make updates, inside of wrappers."""

    def __init__(self, optimizers):
        self.optimizers = rated(optimizers.optimizers)


class _OneRate:
    """The optimizers as one that has a learning rate, and no members."""

    def __init__(self, optimizers):
        vars(self)["_optimizers"] = optimizers

    def __getattr__(self, name):
        if name == "optimizers":
            raise AttributeError(name)
        return getattr(self._optimizers, name)

    def __setattr__(self, name, value):
        setattr(self._optimizers, name, value)


def _direction(trainer, metric):
    """`"min"` or `"max"`, as Keras knows it of a compiled metric, or None."""
    if metric == "loss" or metric.endswith("_loss"):
        return "min"
    probe = keras.callbacks.EarlyStopping(monitor=metric)
    probe.set_model(trainer)
    probe.on_train_begin()
    try:
        probe.on_epoch_end(0, {metric: 0.0})
    except ValueError:
        return None
    return "max" if probe.monitor_op(1.0, 0.0) else "min"
