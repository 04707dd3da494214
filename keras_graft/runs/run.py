"""The life of one run, from its flags to its report."""

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

from keras_graft import flags
from keras_graft.checks import packages
from keras_graft.runs import run_report
from keras_graft.runs.exit_codes import ALL_DIVERGED
from keras_graft.runs.exit_codes import DATA_UNAVAILABLE
from keras_graft.runs.exit_codes import DONE
from keras_graft.runs.exit_codes import RunError
from keras_graft.runs.lock import DirectoryLock
from keras_graft.runs.lock import refuse_locked
from keras_graft.runs.named_errors import checkpoint_errors_named
from keras_graft.runs.named_errors import disk_errors_named
from keras_graft.runs.named_errors import lost_images_named
from keras_graft.runs.named_errors import out_of_memory_named
from keras_graft.runs.resuming import restore
from keras_graft.runs.run_directory import RunDirectory
from keras_graft.runs.signals import StopSignals
from keras_graft.runs.threads import share_out_threads
from keras_graft.runs.whole_files import write_atomically
from keras_graft.structure.printable import printable


def run(settings, signals, cluster=None, owns_process=False, watchers=()):
    """Trains, evaluates and writes the run directory.

    Args:
        settings: What `flags.settings` returns.
        signals: A `StopSignals` that is entered.
        cluster: The `Cluster` to train on, or None for this process alone.
            Its chief writes the run directory, the others write nothing.
        owns_process: Whether nothing else is to train in this process, so
            that the run may choose TensorFlow's threads.
        watchers: Keras callbacks beside the run's own.

    Returns:
        Exit code.

    Raises:
        RunError: If the run is refused or fails in a known way.
        Interrupted: If a signal ends it.
    """
    directory = RunDirectory(settings.workdir)
    flags_text = flags.flags_text(settings)
    if directory.is_finished(settings, flags_text):
        print(f"This run is finished: {_shown(directory.results)}")
        return DONE
    _refuse_absent_packages(settings)
    # The first one locks the folder, after all have looked at it.
    is_chief = cluster is None or cluster.is_chief
    if is_chief:
        refuse_locked(directory.path)

    from keras_graft.runs import strategy as devices

    devices.import_tensorflow_quietly()
    if owns_process:
        share_out_threads(settings)
    strategy = None
    if not settings.plan:
        strategy = devices.make_strategy(
            settings.strategy, settings.replicas, cluster
        )
        signals.take_back()
    devices.set_precision(settings.precision)

    from keras_graft.runs import image_table
    from keras_graft.runs import teamwork

    team = None if settings.plan else cluster
    with (
        teamwork.team(team, settings, signals) as watch,
        out_of_memory_named(settings),
    ):
        task = _task(settings, cluster)
        image_table.refuse_other_images(directory.images, task.files)
        teamwork.refuse_other_runs(strategy, flags_text, task)
        hosts = 1 if cluster is None else cluster.size
        replicas = devices.replicas_of_a_host(
            settings.strategy, settings.replicas
        )
        trainer, graft = _make(task, strategy, hosts * replicas)
        if settings.plan:
            _print_plan(task, trainer, replicas, hosts)
            return DONE
        _print_start(task, devices.describe_devices(strategy))
        job = _Job(
            task,
            flags_text,
            signals,
            directory,
            trainer,
            graft,
            [*watch, *watchers],
            writes=is_chief,
        )
        if not is_chief:
            _train(job)
            return DONE
        with disk_errors_named(directory):
            directory.create()
            with DirectoryLock(directory.path):
                # Another job may have ended meanwhile.
                if directory.is_finished(settings, flags_text):
                    print(f"This run is finished: {_shown(directory.results)}")
                    return DONE
                _train(job)
    return DONE


def _refuse_absent_packages(settings):
    """Before hours of training, not after them."""
    try:
        for name in settings.export:
            packages.require(f"--export={name}", packages.EXPORTS[name])
        for name in settings.track:
            packages.require(f"--track={name}", packages.TRACKERS[name])
    except packages.MissingPackageError as error:
        raise RunError(str(error)) from error


def _make(task, strategy, num_devices):
    from keras_graft.runs import strategy as devices
    from keras_graft.runs.callbacks import make_graft_callback

    try:
        task.check_division(num_devices)
        with devices.scope_of(strategy):
            trainer = task.make_trainer()
        for term in trainer.distillation:
            term.check()
        graft = make_graft_callback(task.settings)
        if graft is not None:
            graft.check(trainer)
    except ValueError as error:
        raise RunError(str(error)) from error
    return trainer, graft


def _print_plan(task, trainer, replicas, hosts):
    from keras_graft.runs.run_plan import plan

    _print_start(task, f"{hosts} x {replicas} devices")
    trainer.optimizer.build_for(trainer.networks)
    print(
        plan(
            task.settings,
            trainer,
            task.steps_per_epoch,
            task.num_evaluated,
            replicas,
            hosts,
        )
    )


@dataclasses.dataclass(frozen=True)
class _Job:
    """A run that is ready to train.

    Attributes:
        task: What it is for, with its flags and images.
        flags_text: The flags as a flagfile.
        signals: A `StopSignals` that is entered.
        directory: Its folder.
        trainer: Its trainer, compiled.
        graft: The callback that grafts, or None.
        watch: Callbacks that watch the other workers, or the clock.
        writes: Whether this process writes into the folder.
    """

    task: Any
    flags_text: str
    signals: StopSignals
    directory: RunDirectory
    trainer: Any
    graft: Any
    watch: Sequence
    writes: bool


@lost_images_named()
@checkpoint_errors_named()
def _train(job):
    from keras_graft.optimizers.network_optimizers import steps_taken
    from keras_graft.runs import image_table
    from keras_graft.runs import teamwork
    from keras_graft.runs.callbacks import make_callbacks
    from keras_graft.runs.callbacks import make_swa_callback
    from keras_graft.runs.finish import finish
    from keras_graft.runs.interruption import StopAtSignal
    from keras_graft.runs.progress import bars_cleared

    task, trainer = job.task, job.trainer
    settings = task.settings
    if job.writes:
        job.directory.remove_stale()
    checkpoint, notes = restore(
        settings, job.directory, trainer, job.flags_text
    )
    if job.writes:
        write_atomically(job.directory.flags, job.flags_text)
        image_table.write(job.directory.images, task.files)
    swa = make_swa_callback(task, job.graft)
    callbacks, monitor = make_callbacks(
        task, job.directory, job.graft, job.writes
    )
    with job.signals.deferred(), bars_cleared(callbacks):
        trainer.fit(
            task.training_data,
            epochs=settings.epochs,
            initial_epoch=checkpoint.epoch,
            validation_data=task.validation_data(),
            callbacks=[
                checkpoint,
                StopAtSignal(job.signals),
                *job.watch,
                *callbacks,
                *([] if swa is None else [swa]),
            ],
            verbose=0,
        )
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
        finish(job, monitor, test_logs, checkpoint.seconds, notes, swa)
    teamwork.leave_together(trainer.distribute_strategy)


def _task(settings, cluster):
    from keras_graft import data
    from keras_graft.runs.task import read_task

    if cluster is not None and settings.task != "classification":
        raise RunError(
            f"--task={settings.task} is trained on one host, and TF_CONFIG "
            "names a cluster. Unset it, or give --strategy=mirrored or none."
        )
    try:
        return read_task(settings)
    except data.DataUnavailableError as error:
        raise RunError(str(error), DATA_UNAVAILABLE) from error
    except (ValueError, packages.MissingPackageError) as error:
        raise RunError(str(error)) from error


def _print_start(task, devices):
    settings = task.settings
    images, *notes = task.described()
    print(
        f"{settings.num_networks} x {settings.model} on {settings.dataset}: "
        f"{images}; {settings.epochs} epochs of {task.steps_per_epoch} "
        f"steps; {devices}"
    )
    for note in notes:
        print(printable(note, kept="\n"))
    if packages.missing(packages.PICTURES):
        print(run_report.NO_PICTURES)
    print(f"Run directory: {_shown(settings.workdir)}")


def _shown(path):
    return printable(os.fspath(path))
