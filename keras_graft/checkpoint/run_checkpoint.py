"""`RunCheckpoint`: a run that was killed goes on where it was."""

import contextlib
import json
import logging
import os
import pathlib
import time
import zlib
from typing import Any

import keras
import numpy as np

from keras_graft.checkpoint import files
from keras_graft.checkpoint.callback_states import PREFIX
from keras_graft.checkpoint.callback_states import read_states
from keras_graft.checkpoint.callback_states import restore_states
from keras_graft.checkpoint.compiled_rates import as_json
from keras_graft.checkpoint.compiled_rates import warn_of_rates
from keras_graft.checkpoint.state_schema import State
from keras_graft.checkpoint.state_schema import checked_state
from keras_graft.checkpoint.state_schema import not_finite
from keras_graft.checkpoint.state_schema import refuse_impossible_arrays
from keras_graft.checkpoint.strict_json import ContentError
from keras_graft.checkpoint.training_state import assign_arrays
from keras_graft.checkpoint.training_state import names_of_variances
from keras_graft.checkpoint.training_state import read_arrays
from keras_graft.checkpoint.training_state import refuse_other_variables
from keras_graft.checkpoint.versions import made_by
from keras_graft.checkpoint.versions import warn_of_changes
from keras_graft.distribution.workers import WorkersDifferError
from keras_graft.distribution.workers import disagreements
from keras_graft.distribution.workers import worker_of
from keras_graft.trainer.callback_order import CheckpointCallback

_LOG = logging.getLogger(__name__)


class RunCheckpoint(CheckpointCallback):
    """Saves a run at the end of every epoch, and goes on with it.

    Given to `fit`, it brings the trainer to where the newest checkpoint in
    its folder was, if there is one, and `fit` begins with the next epoch.

    A checkpoint holds every variable of every network, slots and counters of
    every optimizer, states of seed generators, the networks' health, the
    history, and what Keras' own callbacks remember (`EarlyStopping`,
    `ReduceLROnPlateau`, `ModelCheckpoint`, `SwapEMAWeights`); a callback of
    your own is included if it has `get_state()` and `set_state(state)`. Two
    checkpoints are kept. Each is written under another name first, so that a
    run which is killed at any instant leaves a whole one behind, and a
    damaged one is noticed by its checksums.

    On several workers each one restores, so that they must see one folder,
    and the chief alone writes. Before it does, the workers compare all that
    is to be saved, and `fit` fails where they differ.

    An interrupted epoch is repeated. The end of the run has the same bits as
    without the interruption if the data of an epoch depends on nothing but
    its number: use `keras_graft.data.EpochOrdered`.

    Args:
        directory: Folder of the checkpoints. One run, one folder.
        about: Dict of JSON values that is stored beside the rest. Defaults
            to None.

    Example:

    ```python
    train = keras_graft.data.EpochOrdered((x, y), batch_size=64, seed=0)
    checkpoint = keras_graft.RunCheckpoint("run/checkpoints")
    # The first time from the beginning, then from where it was.
    trainer.fit(
        train,
        epochs=200,
        callbacks=[checkpoint, keras_graft.GraftCallback()],
    )
    ```
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        about: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(directory, str | os.PathLike) or not str(directory):
            raise ValueError(
                f"`directory` must name a folder. Received: {directory!r}"
            )
        if not isinstance(about, dict | None):
            raise ValueError(
                f"`about` must be a dict or None. Received: {about!r}"
            )
        self.directory = pathlib.Path(directory)
        self.about = dict(about or {})
        self.seconds = 0.0
        self._kept = files.KEPT
        self._found = None
        self._state: State | None = None
        self._assigned = False
        self._others = []
        self._history = None
        self._epoch = None
        self._started = None

    def restore(self, trainer: Any) -> int:
        """Brings a compiled trainer to where the newest checkpoint was.

        Networks that are not built yet get their values from `fit`.

        Args:
            trainer: The `GraftTrainer` to train on.

        Returns:
            Number of completed epochs, 0 if there is no checkpoint: the
            `initial_epoch` of `fit`.

        Raises:
            ValueError: If the trainer is not compiled.
            CheckpointError: If there are checkpoints and none can be used,
                or several workers see different ones.
        """
        if not trainer.compiled:
            raise ValueError(
                "Call `trainer.compile()` before `restore(trainer)`: the "
                "optimizers' state is restored too."
            )
        is_chief = worker_of(trainer.distribute_strategy).is_chief
        if is_chief:
            files.remove_stale(self.directory)
        self._found = files.newest_checkpoint(self.directory, _LOG.warning)
        self._refuse_another_checkpoint(trainer)
        self._assigned = False
        self._epoch = 0
        if self._found is not None:
            with _named(self._found):
                self._state = checked_state(
                    self._found.state, self._found.epoch
                )
            if is_chief:
                files.keep_newest(self.directory, self._found.epoch, self._kept)
            self._epoch = self._found.epoch
            self.seconds = self._state.seconds
            warn_of_changes(self._state.made_by, made_by(trainer))
            warn_of_rates(self._state.rates, trainer.optimizer.compiled_rates)
            if all(network.built for network in trainer.networks):
                self._assign(trainer)
        return self._epoch

    @property
    def restored(self) -> files.Checkpoint | None:
        """The checkpoint that `restore` found, or None."""
        return self._found

    @property
    def epoch(self) -> int:
        """Number of epochs that are restored or saved."""
        return self._epoch or 0

    def _refuse_another_checkpoint(self, trainer):
        found = {"epochs": 0, "content": 0}
        if self._found is not None:
            found["epochs"] = self._found.epoch
            found["content"] = _checksum(self._found.arrays)
        if disagreements(trainer.distribute_strategy, found):
            raise files.CheckpointError(
                f"The workers find different checkpoints in {self.directory}: "
                f"this one has {found['epochs']} epochs. Let the folder be "
                "one and the same on all hosts, such as a network file system."
            )

    def _assign(self, trainer):
        with trainer.distribute_strategy.scope():
            trainer.optimizer.build_for(trainer.networks)
        arrays = {
            name: array
            for name, array in self._found.arrays.items()
            if not name.startswith(PREFIX)
        }
        with _named(self._found):
            refuse_other_variables(trainer, arrays)
            refuse_impossible_arrays(
                self._state, arrays, names_of_variances(trainer)
            )
        assign_arrays(trainer, arrays)
        self._assigned = True

    def resume(self, trainer, initial_epoch, epochs):
        if initial_epoch:
            # From `restore`, or `before_training` will complain.
            return initial_epoch
        done = self.restore(trainer)
        if done >= epochs:
            _LOG.warning(
                "%s holds all %d epochs of this run: nothing is left to "
                "train. Give another folder to train anew.",
                self.directory,
                done,
            )
        return done

    def before_training(self, trainer, callbacks):
        self._others = [c for c in callbacks if c is not self]
        self._history = next(
            c for c in callbacks if isinstance(c, keras.callbacks.History)
        )
        if self._epoch is None and files.checkpoint_paths(self.directory):
            raise ValueError(
                f"{self.directory} holds the checkpoints of a run. Leave "
                "`initial_epoch` out to go on with it, or give another folder."
            )
        if self._found is None:
            return False
        if not self._assigned:
            self._assign(trainer)
        if not trainer.data_follows_epochs:
            _LOG.warning(
                "The order of the data is not restored: this dataset does "
                "not say what an epoch holds. Give `fit` a "
                "keras_graft.data.EpochOrdered for the same bits as without "
                "the interruption."
            )
        stopped = self._state.stopped
        if stopped:
            _LOG.warning(
                "A callback stopped this run after %d epochs: nothing is "
                "left to train.",
                self._epoch,
            )
        return stopped

    def on_train_begin(self, logs=None):
        if worker_of(self.model.distribute_strategy).is_chief:
            files.check_writable(self.directory)
        self._started = time.monotonic() - self.seconds
        if self._found is None:
            return
        # The last one to be called: what others reset has been reset.
        found, self._found = self._found, None
        history = self._history
        history.epoch = list(self._state.epochs)
        history.history = {
            name: [np.array(v) if isinstance(v, list) else v for v in values]
            for name, values in self._state.history.items()
        }
        with _named(found):
            restore_states(
                self._others,
                self._state.callbacks,
                found.arrays,
                self._epoch,
            )

    def on_epoch_begin(self, epoch, logs=None):
        if self._epoch is None:
            self._epoch = epoch
        if epoch != self._epoch:
            raise ValueError(
                f"`fit` begins with epoch {epoch}, but the trainer is "
                f"restored to the end of {self._epoch} epochs. Leave "
                "`initial_epoch` out."
            )

    def on_epoch_end(self, epoch, logs=None):
        self._epoch = epoch + 1
        if not self.model.health.any_left():
            # The last good one is worth more.
            return
        arrays = read_arrays(self.model)
        self._refuse_differences(arrays)
        self.seconds = time.monotonic() - self._started
        if not worker_of(self.model.distribute_strategy).is_chief:
            return
        status = list(self.model.status)
        bad = not_finite(status, arrays)
        states, more = read_states(self._others)
        arrays.update(more)
        history = self._history
        files.write_checkpoint(
            self.directory,
            self._epoch,
            arrays,
            {
                "made_by": made_by(self.model),
                "rates": as_json(self.model.optimizer.compiled_rates),
                "about": self.about,
                "status": status,
                "stopped": bool(self.model.stop_training),
                "seconds": self.seconds,
                "epochs": list(history.epoch),
                "history": {
                    name: [_as_json(value) for value in values]
                    for name, values in history.history.items()
                },
                "callbacks": states,
                "not_finite": bad,
            },
            self._kept,
        )

    def _refuse_differences(self, arrays):
        """Raises a WorkersDifferError unless all workers hold the same."""
        strategy = self.model.distribute_strategy
        if worker_of(strategy).count == 1:
            return
        sums = {name: _checksum({name: arrays[name]}) for name in arrays}
        # The names first: one that not all have would misplace the others.
        names = zlib.crc32(json.dumps(sorted(arrays)).encode())
        found = disagreements(strategy, {"the variables": names})
        found = found or disagreements(strategy, sums)
        if found:
            raise WorkersDifferError(
                f"The workers do not hold the same numbers after epoch "
                f"{self._epoch}: {found[0]}, and {len(found) - 1} more. "
                "Nothing is saved. BatchNormalization needs synchronized=True "
                "on several workers, and their hosts must be of one kind."
            )


def _as_json(log):
    """A log as a number or list, a count as the whole number that it is."""
    log = np.asarray(log)
    return (log if log.dtype.kind in "iu" else log.astype(float)).tolist()


@contextlib.contextmanager
def _named(found):
    """Says which checkpoint it is that cannot be used."""
    try:
        yield
    except ContentError as error:
        raise files.CheckpointError(
            f"{found.path} cannot be used: {error}. Its checksums are right, "
            "so that it was written like this or edited. It is left as it is: "
            "restore it from a backup, or move it away to go on from the one "
            "before it."
        ) from error


def _checksum(arrays):
    """A number that differs when a bit does."""
    checksum = 0
    for array in arrays.values():
        checksum = zlib.crc32(np.ascontiguousarray(array), checksum)
    return checksum
