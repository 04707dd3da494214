"""How fast this machine is: a short run with everything that a run has."""

import contextlib
import dataclasses
import gc
import io
import pathlib
import tempfile
import time
from typing import Any

import keras
import tensorflow as tf

from keras_graft.checkpoint.files import OWN_PREFIX
from keras_graft.compare import measure
from keras_graft.compare import study as studies
from keras_graft.compare.plan_file import Pace
from keras_graft.compare.study import Run
from keras_graft.compare.study import Study
from keras_graft.runs import run as one_run
from keras_graft.runs.batches import steps_per_epoch
from keras_graft.runs.exit_codes import DONE
from keras_graft.runs.exit_codes import RunError
from keras_graft.runs.signals import StopSignals

# One in which graphs are made, one that is looked at, one that is averaged.
_EPOCHS = 3
_MOST_STEPS = 30
# Share of the hours that the steps of one timing may take, at a speed that
# most machines have.
_SHARE = 0.02
_FLOPS_A_SECOND = {"CPU": 2e10, "GPU": 1e13}
# Far from the seeds of the study and of its tuning.
_SEED = 1_000_000


class _Clock(keras.callbacks.Callback):
    """Looks at the clock when epochs begin, and for the steps between."""

    def __init__(self):
        super().__init__()
        self.begun = []
        self.steps = []
        self._first = None

    def on_epoch_begin(self, epoch, logs=None):
        self.begun.append(time.monotonic())
        self._first = None

    def on_train_batch_end(self, batch, logs=None):
        if self._first is None:
            self._first = batch, time.monotonic()
        self._last = batch

    def on_test_begin(self, logs=None):
        # Steps on a GPU have been waited for here, not after each of them.
        if self._first is not None:
            batch, since = self._first
            if self._last > batch:
                seconds = time.monotonic() - since
                self.steps.append(seconds / (self._last - batch))
            self._first = None


def pace_of(
    study: Study, run: Run, splits: Any, hours: float, signals: StopSignals
) -> Pace:
    """Times a short version of a run; nothing that it found is looked at.

    Args:
        study: The study; its folder is there.
        run: One of its runs.
        splits: Its images.
        hours: What the study may take, of which this is to be a small part.
        signals: One that is entered.

    Raises:
        RunError: If the run fails.
        Interrupted: If a signal ends it.
    """
    settings = studies.settings_of(study, run, study.grid[0])
    whole = steps_per_epoch(settings, splits)
    flops = measure.run_flops(run, settings, splits)
    step_flops = flops / (settings.epochs * whole)
    steps = _few(whole, step_flops, hours, settings.steps_per_execution)
    with tempfile.TemporaryDirectory(
        prefix=OWN_PREFIX, dir=study.folder
    ) as folder:
        short = dataclasses.replace(
            run,
            seed=_SEED,
            folder=pathlib.Path(folder) / "timing",
            flags=(
                *run.flags,
                f"--epochs={_EPOCHS}",
                f"--steps_per_epoch={steps}",
            ),
            teacher=None,
        )
        clock = _Clock()
        began = time.monotonic()
        _run_whole(study, short, splits, signals, clock)
        seconds = time.monotonic() - began
    epoch = clock.begun[-1] - clock.begun[-2]
    step = clock.steps[-1] if clock.steps else epoch / steps
    return Pace(
        beside_seconds=max(0.0, seconds - _EPOCHS * epoch),
        epoch_seconds=max(0.0, epoch - steps * step),
        step_seconds=step,
        step_flops=step_flops,
    )


def _few(whole, step_flops, hours, together):
    """How many steps to time: a multiple of what runs together."""
    kind = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    most = _SHARE * hours * 3600 * _FLOPS_A_SECOND[kind] / step_flops
    steps = min(whole, _MOST_STEPS, max(2, int(most)))
    return max(1, steps // together) * together


def _run_whole(study, short, splits, signals, clock):
    settings = studies.settings_of(study, short, study.grid[0])
    unseen = io.StringIO()
    with (
        contextlib.redirect_stdout(unseen),
        contextlib.redirect_stderr(unseen),
    ):
        code = one_run.run(settings, signals, watchers=[clock])
    if code != DONE:
        raise RunError(f"The timing of {short.name} ended early.", code)
    if short.arms:
        measure.records_of(short, settings, splits, 0.0, 0)
    keras.utils.clear_session()
    gc.collect()
