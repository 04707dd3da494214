"""What ends a run in user code, and where it goes on."""

import contextlib
import os
import signal
import traceback

import keras
import pytest
from builders import make_trainer
from builders import small_network
from builders import small_networks
from builders import train_resumably
from comparisons import assert_same_state

import keras_graft
from keras_graft.runs.interruption import StopAtSignal
from keras_graft.runs.signals import Interrupted
from keras_graft.runs.signals import StopSignals


def checkpoints_in(folder):
    return sorted(path.name for path in folder.iterdir())


class At(keras.callbacks.Callback):
    """Does something at one event of one epoch; counts batches."""

    def __init__(self, event, function, epoch=2):
        super().__init__()
        self.at = epoch
        self.epoch = None
        self.train_batches = 0
        self.test_batches = 0

        def act(*arguments, **named):
            if self.epoch == self.at:
                function()

        setattr(self, event, act)

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch
        self.train_batches = 0
        self.test_batches = 0

    def on_train_batch_end(self, batch, logs=None):
        self.train_batches = batch + 1

    def on_test_batch_end(self, batch, logs=None):
        self.test_batches = batch + 1


def test_callback_that_raises_leaves_traceback_and_checkpoint(images, tmp_path):
    def make():
        return make_trainer(small_networks(2))

    def mistake_of_the_user():
        raise ZeroDivisionError("no such rate")

    whole = make()
    expected = train_resumably(whole, images, tmp_path / "whole")
    raising = At("on_epoch_end", mistake_of_the_user)
    with pytest.raises(ZeroDivisionError, match="no such rate") as caught:
        train_resumably(make(), images, tmp_path / "cut", raising)
    frames = [frame.name for frame in traceback.extract_tb(caught.tb)]
    assert frames[-1] == "mistake_of_the_user"
    assert checkpoints_in(tmp_path / "cut") == ["epoch-000001", "epoch-000002"]
    resumed = make()
    found = train_resumably(resumed, images, tmp_path / "cut")
    assert found.history == expected.history
    assert_same_state(resumed, whole)


@contextlib.contextmanager
def heard(number, handler):
    """A shell or `nohup` may have told this process to ignore a signal."""
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)


@pytest.mark.parametrize(
    "in_command, number",
    [
        (True, signal.SIGTERM),
        pytest.param(True, signal.SIGHUP, marks=pytest.mark.slow),
        pytest.param(False, signal.SIGINT, marks=pytest.mark.slow),
    ],
)
def test_signal_in_validation_keeps_the_epoch_before(
    images, tmp_path, in_command, number
):
    def make():
        return make_trainer(small_networks(2))

    def send():
        os.kill(os.getpid(), number)

    validation = {"validation_data": images, "validation_batch_size": 16}
    whole = make()
    expected = train_resumably(whole, images, tmp_path / "whole", **validation)
    at = At("on_test_batch_begin", send)
    if in_command:
        with (
            heard(number, signal.SIG_DFL),
            StopSignals() as signals,
            pytest.raises(Interrupted) as caught,
            signals.deferred(),
        ):
            train_resumably(
                make(),
                images,
                tmp_path / "cut",
                at,
                StopAtSignal(signals),
                **validation,
            )
        assert caught.value.exit_code == 128 + number
        # The step that ran was finished, and no other one begun.
        assert at.test_batches == 1
    else:
        with (
            heard(number, signal.default_int_handler),
            pytest.raises(KeyboardInterrupt),
        ):
            train_resumably(make(), images, tmp_path / "cut", at, **validation)
    assert checkpoints_in(tmp_path / "cut") == ["epoch-000001", "epoch-000002"]
    resumed = make()
    found = train_resumably(resumed, images, tmp_path / "cut", **validation)
    assert found.history == expected.history
    assert_same_state(resumed, whole)


def test_sigterm_with_several_steps_per_execution(images, tmp_path):
    def make():
        return make_trainer(small_networks(2), steps_per_execution=2)

    whole = make()
    train_resumably(whole, images, tmp_path / "whole")
    at = At(
        "on_train_batch_begin", lambda: os.kill(os.getpid(), signal.SIGTERM)
    )
    with StopSignals() as signals, pytest.raises(Interrupted) as caught:
        with signals.deferred():
            train_resumably(
                make(), images, tmp_path / "cut", at, StopAtSignal(signals)
            )
    assert caught.value.exit_code == 143
    # Both steps of the execution, of the four of an epoch.
    assert at.train_batches == 2
    assert checkpoints_in(tmp_path / "cut") == ["epoch-000001", "epoch-000002"]
    resumed = make()
    train_resumably(resumed, images, tmp_path / "cut")
    assert_same_state(resumed, whole)


def test_clock_that_went_back_does_not_hide_the_newest_checkpoint(
    images, tmp_path
):
    trainer = make_trainer([small_network()], distillation=None)
    train_resumably(trainer, images, tmp_path, epochs=2)
    newest = tmp_path / "epoch-000002"
    for path in (newest, *newest.iterdir()):
        os.utime(path, (0, 0))
    again = make_trainer([small_network(9)], distillation=None)
    assert keras_graft.RunCheckpoint(tmp_path).restore(again) == 2
    assert_same_state(again, trainer)
    # The next save removes the oldest by epoch, too.
    train_resumably(again, images, tmp_path, epochs=3)
    assert checkpoints_in(tmp_path) == ["epoch-000002", "epoch-000003"]
