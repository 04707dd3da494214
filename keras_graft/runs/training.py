"""From a run that is ready to train to its results."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from keras_graft.checkpoint.files import newest_checkpoint
from keras_graft.checkpoint.manifest import CheckpointError
from keras_graft.distribution.workers import disagreements
from keras_graft.optimizers.network_optimizers import steps_taken
from keras_graft.runs import callbacks
from keras_graft.runs import freezing
from keras_graft.runs import given_files
from keras_graft.runs import image_table
from keras_graft.runs import teamwork
from keras_graft.runs.exit_codes import ALL_DIVERGED
from keras_graft.runs.exit_codes import CHECKPOINT_UNUSABLE
from keras_graft.runs.exit_codes import RunError
from keras_graft.runs.finish import finish
from keras_graft.runs.interruption import StopAtSignal
from keras_graft.runs.named_errors import checkpoint_errors_named
from keras_graft.runs.named_errors import lost_images_named
from keras_graft.runs.progress import bars_cleared
from keras_graft.runs.resuming import restore
from keras_graft.runs.run_directory import RunDirectory
from keras_graft.runs.signals import StopSignals
from keras_graft.runs.task import Task
from keras_graft.runs.whole_files import write_atomically


@dataclasses.dataclass(frozen=True)
class Job:
    """A run that is ready to train.

    Attributes:
        task: What it is for, with its flags and images.
        flags_text: The flags as a flagfile.
        signals: A `StopSignals` that is entered.
        directory: Its folder.
        digests: Of the models that it was given, by flag.
        trainer: Its trainer, compiled.
        graft: The callback that grafts, or None.
        watch: Callbacks that watch the other workers, or the clock.
        writes: Whether this process writes into the folder.
    """

    task: Task
    flags_text: str
    signals: StopSignals
    directory: RunDirectory
    digests: dict[str, str]
    trainer: Any
    graft: Any
    watch: Sequence
    writes: bool


@lost_images_named()
@checkpoint_errors_named()
def train(job: Job) -> None:
    """Trains, evaluates and writes what a run leaves behind.

    Args:
        job: The run, whose folder is locked.

    Raises:
        RunError: If it fails in a known way.
        Interrupted: If a signal ends it.
    """
    task, trainer = job.task, job.trainer
    settings = task.settings
    if job.writes:
        job.directory.remove_stale()
    trained = _train_in_phases(job)
    if "live" not in trainer.status:
        raise RunError(
            "Every network diverged, so there is none to ship. Lower "
            f"--learning_rate={settings.learning_rate} and give another "
            f"--workdir. The last good checkpoint is in "
            f"{job.directory.checkpoints}.",
            ALL_DIVERGED,
        )
    if not any(steps_taken(trainer.optimizer.optimizers)):
        raise RunError(
            "No network took a single step, so nothing was trained: every "
            "update had NaN or infinity in it. The columns "
            f"network_k_skipped_steps of {job.directory.history} count them. "
            f"Lower --learning_rate={settings.learning_rate}, and give "
            "another --workdir.",
            ALL_DIVERGED,
        )
    test_logs = task.tested(trainer)
    for network in trainer.networks:
        # On every worker, since it makes variables.
        task.prepare_file(network)
    if job.writes:
        finish(
            job,
            trained.monitor,
            test_logs,
            trained.seconds,
            trained.notes,
            trained.swa,
        )
    teamwork.leave_together(trainer.distribute_strategy)


@dataclasses.dataclass(frozen=True)
class _Trained:
    """What is known of a training that has ended.

    Attributes:
        monitor: The callback that has counted filters.
        swa: That which has averaged weights, or None.
        seconds: How long it took.
        notes: Sentences for the protocol of the results.
    """

    monitor: Any
    swa: Any
    seconds: float
    notes: Sequence[str]


def _train_in_phases(job):
    """Trains, and where layers are unfrozen goes on as a run that resumes."""
    task, trainer = job.task, job.trainer
    settings = task.settings
    ends = freezing.phases(settings, _epochs_done(job))
    if len(ends) == 1 and freezing.unfreeze_epoch(settings) is not None:
        task.unfreeze(trainer)
    for i, end in enumerate(ends):
        checkpoint, notes = restore(
            settings, job.directory, trainer, job.flags_text, again=i > 0
        )
        if i == 0 and job.writes:
            write_atomically(job.directory.flags, job.flags_text)
            image_table.write(job.directory.images, task.files)
            given_files.write(job.directory.given, job.digests)
        if end < ends[-1] and checkpoint.epoch == end:
            continue  # What is frozen has been trained around.
        if i > 0:
            print(f"From epoch {ends[0] + 1} on everything learns.")
            task.unfreeze(trainer)
        trained = _fit(job, checkpoint, notes, end)
        if not trainer.health.any_left():
            break
        if end < ends[-1]:
            # All workers are to read what the chief has written by now.
            disagreements(trainer.distribute_strategy, {"epochs": end})
            fresh = callbacks.make_graft_callback(settings)
            job = dataclasses.replace(job, graft=fresh)
    return trained


def _epochs_done(job):
    """Epochs of the newest checkpoint, looked for only where it matters."""
    if freezing.unfreeze_epoch(job.task.settings) is None:
        return 0
    try:
        found = newest_checkpoint(job.directory.checkpoints, print)
    except CheckpointError as error:
        raise RunError(str(error), CHECKPOINT_UNUSABLE) from error
    return 0 if found is None else found.epoch


def _fit(job, checkpoint, notes, epochs):
    task, trainer = job.task, job.trainer
    swa = callbacks.make_swa_callback(task, job.graft)
    others, monitor = callbacks.make_callbacks(
        task, job.directory, job.graft, job.writes
    )
    with job.signals.deferred(), bars_cleared(others):
        trainer.fit(
            task.training_data,
            epochs=epochs,
            initial_epoch=checkpoint.epoch,
            validation_data=task.validation_data(),
            callbacks=[
                checkpoint,
                StopAtSignal(job.signals),
                *job.watch,
                *others,
                *([] if swa is None else [swa]),
            ],
            verbose=0,
        )
    return _Trained(monitor, swa, checkpoint.seconds, notes)
