"""Several workers as one run: one beginning, one end, no endless wait."""

import contextlib
import re
import zlib
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from keras_graft.checkpoint.versions import versions
from keras_graft.distribution.workers import WorkersDifferError
from keras_graft.distribution.workers import disagreements
from keras_graft.distribution.workers import gather
from keras_graft.runs.changed_flags import flag_values
from keras_graft.runs.cluster import Cluster
from keras_graft.runs.exit_codes import RunError
from keras_graft.runs.resuming import where_it_stopped
from keras_graft.runs.signals import StopSignals
from keras_graft.runs.watchdog import Watchdog
from keras_graft.trainer.callback_order import StagedCallback

# A worker whose process is gone is noticed by TensorFlow within seconds; this
# is for one that hangs, as on a disk that does not answer. A step may take
# long, above all the first one, which TensorFlow compiles.
_STEP_SECONDS = 1800.0

# Hosts may keep their data in different places.
_OF_A_HOST = ("data_dir", "workdir")

# What TensorFlow raises where a collective cannot end.
_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
)
_TASK = re.compile(r"/job:(chief|worker)(?:/replica:0)?/task:(\d+)")


def refuse_other_runs(strategy: Any, flags_text: str, task: Any) -> None:
    """Refuses workers that would train different things; a collective.

    Args:
        strategy: The strategy that the workers share, or None.
        flags_text: This worker's flags as a flagfile.
        task: What the run is for, with the images that it has read.

    Raises:
        RunError: If workers differ in flags, versions or images.
    """
    flags = flag_values(flags_text)
    shared = {n: v for n, v in flags.items() if n not in _OF_A_HOST}
    facts = {
        "the flags": _checksum(sorted(shared.items())),
        "the versions of keras_graft, keras, tensorflow and numpy": _checksum(
            [v for name, v in versions().items() if name != "python"]
        ),
        "the images and labels": task.checksum(),
    }
    found = disagreements(strategy, facts)
    if found:
        raise RunError(
            "The workers of this job differ in\n  "
            + "\n  ".join(found)
            + "\nStart the same command with the same versions and data on "
            "every host."
        )


def leave_together(strategy: Any) -> None:
    """Waits until all workers have come to this line."""
    gather(strategy, [0])


class StepWatch(StagedCallback):
    """Tells a watchdog of every step.

    Args:
        watchdog: One that is entered.
    """

    def __init__(self, watchdog: Watchdog):
        super().__init__()
        self._watchdog = watchdog

    def on_epoch_begin(self, epoch, logs=None):
        self._watchdog.touch()

    def on_train_batch_end(self, batch, logs=None):
        self._watchdog.touch()

    def on_test_batch_end(self, batch, logs=None):
        self._watchdog.touch()


@contextlib.contextmanager
def team(
    cluster: Cluster | None, settings: Any, signals: StopSignals
) -> Iterator[list[StagedCallback]]:
    """What is done inside ends within a limit when another worker is lost.

    Args:
        cluster: The workers, or None for this process alone: nothing is done.
        settings: The run's flags.
        signals: The `StopSignals` of the command.

    Yields:
        The callbacks that `fit` needs for it.

    Raises:
        RunError: If another worker is lost, or the workers differ.
        Interrupted: If one is lost after this process got a signal, as the
            others will have.
    """
    if cluster is None:
        yield []
        return

    def stuck():
        return (
            f"No step has ended for {_STEP_SECONDS / 60:.0f} minutes on "
            f"worker {cluster.named([cluster.index])}: another worker hangs, "
            "though its process lives. This worker ends, and with it the job. "
            "Start the same command again on every host."
        )

    try:
        with Watchdog(_STEP_SECONDS, stuck) as watchdog:
            yield [StepWatch(watchdog)]
    except WorkersDifferError as error:
        raise RunError(str(error)) from error
    except _LOST as error:
        signals.check()
        cause = _loss(cluster, str(error))
        raise RunError(where_it_stopped(settings, cause)) from error


def _loss(cluster, text):
    lost = sorted(
        {
            int(task) + (cluster.has_chief if job == "worker" else 0)
            for job, task in _TASK.findall(text)
        }
        - {cluster.index}
    )
    who = f"Worker {cluster.named(lost)}" if lost else "Another worker"
    return (
        f"{who} is lost: its process has ended or cannot be reached. A job "
        "has all of its workers or none, so that this one ends too"
    )


def _checksum(value):
    return zlib.crc32(repr(value).encode())
