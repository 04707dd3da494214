"""The order that callbacks must have, whatever order a user gave them in.

What changes weights comes before what looks at them, and what writes things
down comes last, so that it sees what the others did:

1. weight swaps (`SwapEMAWeights`)
2. the graft
3. the user's own callbacks, in their order
4. what adds measurements to the logs
5. what decides by the logs (`EarlyStopping`, `ReduceLROnPlateau`,
   `ModelCheckpoint`)
6. the history
7. what writes the logs (`CSVLogger`, `TensorBoard`)
8. checkpoints of the run
"""

import abc
import enum
from collections.abc import Sequence
from typing import Any

import keras

from keras_graft.diagnosis import InvalidFilterMonitor
from keras_graft.diagnosis.divergence import DivergenceMonitor
from keras_graft.grafting import GraftCallback


class Stage(enum.IntEnum):
    """When a callback's turn is; see the list above."""

    WEIGHT_SWAP = 1
    GRAFT = 2
    OWN = 3
    MEASURE = 4
    DECIDE = 5
    HISTORY = 6
    LOG = 7
    CHECKPOINT = 8


class StagedCallback(keras.callbacks.Callback):
    """A callback that knows its stage."""

    stage = Stage.OWN


class CheckpointCallback(StagedCallback, abc.ABC):
    """A callback that brings a trainer back to where a run was."""

    stage = Stage.CHECKPOINT

    @abc.abstractmethod
    def before_training(
        self, trainer: Any, callbacks: list[keras.callbacks.Callback]
    ) -> bool:
        """Called by `fit` when everything is built, before any callback.

        Args:
            trainer: The trainer.
            callbacks: All callbacks of this `fit`, in their order.

        Returns:
            Whether the run was stopped by a callback, so that nothing is left
            to train.
        """


_STAGES = (
    (keras.callbacks.SwapEMAWeights, Stage.WEIGHT_SWAP),
    (GraftCallback, Stage.GRAFT),
    (InvalidFilterMonitor, Stage.MEASURE),
    (DivergenceMonitor, Stage.MEASURE),
    (keras.callbacks.EarlyStopping, Stage.DECIDE),
    (keras.callbacks.ReduceLROnPlateau, Stage.DECIDE),
    (keras.callbacks.ModelCheckpoint, Stage.DECIDE),
    (keras.callbacks.History, Stage.HISTORY),
    (keras.callbacks.CSVLogger, Stage.LOG),
    (keras.callbacks.TensorBoard, Stage.LOG),
    (keras.callbacks.ProgbarLogger, Stage.LOG),
)

_REFUSED = (
    keras.callbacks.BackupAndRestore,
    keras.callbacks.OrbaxCheckpoint,
)


def stage_of(callback: keras.callbacks.Callback) -> Stage:
    """The stage of a callback; one that is not known is the user's own."""
    if isinstance(callback, StagedCallback):
        return callback.stage
    for kind, stage in _STAGES:
        if isinstance(callback, kind):
            return stage
    return Stage.OWN


def in_order(callbacks: Any) -> Any:
    """Sorts what `fit` was given and adds a history where there is none.

    Args:
        callbacks: As for `keras.Model.fit`; a `CallbackList` is sorted in
            place.

    Returns:
        A list, or the same `CallbackList`.

    Raises:
        ValueError: If a callback cannot work with several networks.
    """
    ready = isinstance(callbacks, keras.callbacks.CallbackList)
    given = callbacks.callbacks if ready else callbacks
    found = [] if given is None else keras.tree.flatten(given)
    _refuse(found)
    # Keras would append its own after the checkpoint, which stores it.
    if not any(isinstance(c, keras.callbacks.History) for c in found):
        found.append(keras.callbacks.History())
    found.sort(key=stage_of)
    if not ready:
        return found
    callbacks.callbacks[:] = found
    return callbacks


def grafts_of(
    callbacks: Sequence[keras.callbacks.Callback],
) -> list[GraftCallback]:
    """The callbacks that graft."""
    return [c for c in callbacks if isinstance(c, GraftCallback)]


def _refuse(callbacks):
    for callback in callbacks:
        if isinstance(callback, _REFUSED):
            raise ValueError(
                f"{type(callback).__name__} cannot restore a GraftTrainer: "
                "it knows one optimizer only, and neither seeds nor the "
                "networks' health. Use keras_graft.RunCheckpoint: "
                "checkpoint = RunCheckpoint(directory), then fit(..., "
                "initial_epoch=checkpoint.restore(trainer), "
                "callbacks=[checkpoint, ...])."
            )
