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
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import keras

from keras_graft.diagnosis import InvalidFilterMonitor
from keras_graft.diagnosis.divergence import DivergenceMonitor
from keras_graft.grafting import GraftCallback
from keras_graft.trainer.final_weights import refuse_rivals


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
    def resume(self, trainer: Any, initial_epoch: int, epochs: int) -> int:
        """Called by `fit` first of all.

        Args:
            trainer: The trainer, compiled.
            initial_epoch: What `fit` was given.
            epochs: Likewise.

        Returns:
            The epoch to begin with.
        """

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


class JudgingCallback(StagedCallback, abc.ABC):
    """A callback that judges the networks by what no compiled metric sees.

    Its logs are there before any other callback looks at them, and
    `GraftTrainer(monitor=...)` may name one of them.

    Attributes:
        compared: From the name of each log, without `val_`, to which way is
            better: `"min"` or `"max"`.
    """

    stage = Stage.MEASURE
    compared: dict[str, str] = {}

    @abc.abstractmethod
    def judged(self) -> dict[str, float]:
        """Called by `fit` at the end of each epoch.

        Returns:
            For each name m of `compared` the logs `val_m`, the mean over the
            networks, and `val_network_0_m`, ...; NaN for a network that tells
            nothing.
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

# By kind of callback what makes the one that serves in its place. Filled by
# `keras_graft/__init__.py`: checkpoints stand above this room.
_STAND_INS: dict[type, Callable[[Any], CheckpointCallback]] = {}

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


def serve(kind: type, stand_in: Callable[[Any], CheckpointCallback]) -> None:
    """Lets a callback of Keras be served by one that knows a trainer.

    Args:
        kind: Class of the callback. Its subclasses are not served, since
            what they do differently would be lost.
        stand_in: Makes the other one from it, in each `fit`.
    """
    _STAND_INS[kind] = stand_in


def in_order(callbacks: Any) -> list[keras.callbacks.Callback]:
    """Sorts what `fit` was given and adds a history where there is none.

    Args:
        callbacks: As for `keras.Model.fit`; not changed.

    Returns:
        A new list.

    Raises:
        ValueError: If a callback cannot work with several networks, or two
            of them put different weights in place.
    """
    if isinstance(callbacks, keras.callbacks.CallbackList):
        callbacks = callbacks.callbacks
    found = [] if callbacks is None else keras.tree.flatten(callbacks)
    for callback in found:
        if not isinstance(callback, keras.callbacks.Callback):
            raise ValueError(
                f"`callbacks` must be Keras callbacks. Received: {callback!r}"
            )
    found = _served(found)
    _refuse(found)
    refuse_rivals(found)
    # Keras would append its own after the checkpoint, which stores it.
    if not any(isinstance(c, keras.callbacks.History) for c in found):
        found.append(keras.callbacks.History())
    return sorted(found, key=stage_of)


def as_given(
    given: Any,
    callbacks: Sequence[keras.callbacks.Callback],
    trainer: Any,
    epochs: int,
) -> Any:
    """What Keras' `fit` is to be given in the place of a user's callbacks.

    A `CallbackList` may serve another `fit` too, so nothing is put into it.

    Args:
        given: What the trainer's `fit` was given.
        callbacks: Those of it, in order, and the trainer's own.
        trainer: The trainer.
        epochs: As for `fit`.

    Returns:
        A list, or a new `CallbackList` if one was given: Keras adds no
        progress bar to that.
    """
    if not isinstance(given, keras.callbacks.CallbackList):
        return list(callbacks)
    params = {"epochs": epochs, **(given.params or {})}
    return keras.callbacks.CallbackList(
        list(callbacks), model=trainer, **params
    )


def grafts_of(
    callbacks: Sequence[keras.callbacks.Callback],
) -> list[GraftCallback]:
    """The callbacks that graft."""
    return [c for c in callbacks if isinstance(c, GraftCallback)]


def judges_of(
    callbacks: Sequence[keras.callbacks.Callback],
) -> list[JudgingCallback]:
    """The callbacks that judge networks."""
    return [c for c in callbacks if isinstance(c, JudgingCallback)]


def checkpoints_of(
    callbacks: Sequence[keras.callbacks.Callback],
) -> list[CheckpointCallback]:
    """The callbacks that bring a trainer back to where a run was."""
    return [c for c in callbacks if isinstance(c, CheckpointCallback)]


def _served(callbacks):
    served = [c for c in callbacks if type(c) in _STAND_INS]
    others = [c for c in callbacks if isinstance(c, CheckpointCallback)]
    if served and len(served + others) > 1:
        names = ", ".join(type(c).__name__ for c in served + others)
        raise ValueError(
            "One callback alone can bring a trainer back to where its run "
            f"was. Received: {names}. Leave all but one out."
        )
    return [
        _STAND_INS[type(c)](c) if type(c) in _STAND_INS else c
        for c in callbacks
    ]


def _refuse(callbacks):
    for callback in callbacks:
        if isinstance(callback, _REFUSED):
            raise ValueError(
                f"{type(callback).__name__} cannot restore a GraftTrainer: "
                "it knows one optimizer only, and neither seeds nor the "
                "networks' health. Use keras_graft.RunCheckpoint: fit(..., "
                "callbacks=[RunCheckpoint(directory), ...])."
            )
