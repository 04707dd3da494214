"""The life of one run, from its flags to its report."""

from keras_graft import flags
from keras_graft.checks import packages
from keras_graft.runs import given_files
from keras_graft.runs import run_report
from keras_graft.runs.exit_codes import DATA_UNAVAILABLE
from keras_graft.runs.exit_codes import DONE
from keras_graft.runs.exit_codes import RunError
from keras_graft.runs.lock import DirectoryLock
from keras_graft.runs.lock import refuse_locked
from keras_graft.runs.named_errors import disk_errors_named
from keras_graft.runs.named_errors import out_of_memory_named
from keras_graft.runs.run_directory import RunDirectory
from keras_graft.runs.run_directory import shown
from keras_graft.runs.threads import share_out_threads
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
        print(f"This run is finished: {shown(directory.results)}")
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
    from keras_graft.runs.training import Job
    from keras_graft.runs.training import train

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
        digests = given_files.digests_of(settings)
        given_files.refuse_other_files(directory.given, settings, digests)
        trainer, graft = _make(task, strategy, hosts * replicas)
        if settings.plan:
            _print_plan(task, trainer, replicas, hosts)
            return DONE
        _print_start(task, devices.describe_devices(strategy))
        job = Job(
            task,
            flags_text,
            signals,
            directory,
            digests,
            trainer,
            graft,
            [*watch, *watchers],
            writes=is_chief,
        )
        if not is_chief:
            train(job)
            return DONE
        with disk_errors_named(directory):
            directory.create()
            with DirectoryLock(directory.path):
                # Another job may have ended meanwhile.
                if directory.is_finished(settings, flags_text):
                    print(f"This run is finished: {shown(directory.results)}")
                    return DONE
                train(job)
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
    if settings.weights is not None:
        print(_weights_note(settings))
    for note in notes:
        print(printable(note, kept="\n"))
    if packages.missing(packages.PICTURES):
        print(run_report.NO_PICTURES)
    print(f"Run directory: {shown(settings.workdir)}")


def _weights_note(settings):
    note = f"They begin with the weights of {shown(settings.weights)}"
    if settings.num_networks == 1:
        return f"{note}, under a new classifier."
    differ = ["classifiers"]
    if settings.batches == "own":
        differ.append("order of the images")
    if settings.augment != "none":
        differ.append("augmentation")
    if settings.learning_rate_spread != "none":
        differ.append("learning rates")
    return (
        f"{note}, and differ by their {' and '.join(differ)}: `distance` and "
        "`divergence` of history.csv tell how far apart they are."
    )
