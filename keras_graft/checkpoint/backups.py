"""Serves Keras' `BackupAndRestore` in the `fit` of a `GraftTrainer`."""

import logging
import pathlib

import keras

from keras_graft.checkpoint import files
from keras_graft.checkpoint.run_checkpoint import RunCheckpoint
from keras_graft.distribution.workers import worker_of

_LOG = logging.getLogger(__name__)

# What Keras' own callback writes, of one model and one optimizer.
_OF_KERAS = "latest.weights.h5"


class RunBackup(RunCheckpoint):
    """A `RunCheckpoint` with the settings of a `BackupAndRestore`.

    Made by `fit` in its place. What is restored, the history too, is what
    `RunCheckpoint` restores; a backup counts for more than `initial_epoch`,
    as in Keras. When `fit` has ended, the checkpoints are removed unless
    `delete_checkpoint=False` was given or no network is left to go on with.

    Args:
        given: The `keras.callbacks.BackupAndRestore`.

    Raises:
        ValueError: If it saves within epochs.
    """

    def __init__(self, given: keras.callbacks.BackupAndRestore) -> None:
        if given.save_freq != "epoch":
            raise ValueError(
                f"BackupAndRestore(save_freq={given.save_freq!r}) saves "
                "within an epoch, from which a run does not go on to the same "
                'numbers. With a GraftTrainer use save_freq="epoch", and '
                "shorter epochs if they are too long: fit(steps_per_epoch=...)."
            )
        super().__init__(given.backup_dir)
        self._kept = 2 if given.double_checkpoint else 1
        self._delete = given.delete_checkpoint

    def resume(self, trainer, initial_epoch, epochs):
        _refuse_backup_of_keras(self.directory)
        # Not what `fit` was given, or it would not be looked for.
        done = super().resume(trainer, 0, epochs)
        if not done:
            self._epoch = None
        return done or initial_epoch

    def on_train_end(self, logs=None):
        is_chief = worker_of(self.model.distribute_strategy).is_chief
        if not (self._delete and is_chief):
            return
        if self.model.health.any_left():
            files.remove_all(self.directory)
        else:
            _LOG.warning(
                "No network is left: the last backup before that stays in %s.",
                self.directory,
            )


def _refuse_backup_of_keras(directory: pathlib.Path) -> None:
    if (directory / _OF_KERAS).exists():
        raise files.CheckpointError(
            f"{directory} holds {_OF_KERAS}, the backup of a plain Keras run, "
            "from which several networks cannot go on. Give "
            "BackupAndRestore another folder, or move the file away."
        )
