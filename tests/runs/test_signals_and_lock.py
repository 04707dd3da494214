"""Signals and the lock of a run directory, without TensorFlow."""

import os
import pathlib
import signal
import subprocess
import sys
import threading

import pytest

from keras_graft.runs.exit_codes import RunError
from keras_graft.runs.lock import DirectoryLock
from keras_graft.runs.lock import HeldError
from keras_graft.runs.lock import refuse_locked
from keras_graft.runs.run_directory import RunDirectory
from keras_graft.runs.signals import Interrupted
from keras_graft.runs.signals import StopSignals

ROOT = pathlib.Path(__file__).resolve().parents[2]

SECOND_SIGNAL = """
import os, signal
from keras_graft.runs.signals import StopSignals
with StopSignals() as signals, signals.deferred():
    os.kill(os.getpid(), signal.SIGTERM)
    print("still here", flush=True)
    os.kill(os.getpid(), signal.SIGINT)
    print("not here", flush=True)
"""

HOLD = """
import pathlib, sys
from keras_graft.runs.lock import DirectoryLock
with DirectoryLock(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def python(code, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    "number, code", [(signal.SIGTERM, 143), (signal.SIGINT, 130)]
)
def test_deferred_signal_waits_for_the_check(number, code):
    before = signal.getsignal(number)
    with StopSignals() as signals:
        with pytest.raises(Interrupted) as caught:
            with signals.deferred():
                signals.check()
                os.kill(os.getpid(), number)
                reached = True
                signals.check()
        assert reached
        assert caught.value.exit_code == code
    assert signal.getsignal(number) is before


def test_signal_at_the_last_moment_is_not_lost():
    with StopSignals() as signals, pytest.raises(Interrupted, match="SIGTERM"):
        with signals.deferred():
            os.kill(os.getpid(), signal.SIGTERM)


def test_signal_outside_of_training_stops_at_once():
    with StopSignals(), pytest.raises(Interrupted, match="SIGTERM"):
        os.kill(os.getpid(), signal.SIGTERM)


def test_handlers_come_back_after_an_error():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyError), StopSignals():
        raise KeyError
    assert signal.getsignal(signal.SIGTERM) is before


def test_another_thread_gets_no_handlers():
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def run():
        with StopSignals():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [before]


def test_second_signal_leaves_at_once():
    process = python(SECOND_SIGNAL)
    output, _ = process.communicate(timeout=60)
    assert output == "still here\n"
    assert process.returncode == 130


def test_two_jobs_in_one_folder_are_refused_by_name(tmp_path):
    refuse_locked(tmp_path)
    holder = python(HOLD, tmp_path)
    assert holder.stdout.readline() == "held\n"
    for attempt in (
        refuse_locked,
        lambda path: DirectoryLock(path).__enter__(),
    ):
        with pytest.raises(RunError, match=f"process {holder.pid}"):
            attempt(tmp_path)
    # Killed: its lock is stale, and is taken over.
    holder.kill()
    holder.communicate()
    assert (tmp_path / ".lock").exists()
    with DirectoryLock(tmp_path):
        assert str(os.getpid()) in (tmp_path / ".lock").read_text()
    assert list(tmp_path.iterdir()) == []


def test_empty_lock_of_another_is_left_as_it_is(tmp_path, capsys):
    lock = tmp_path / ".lock"
    lock.touch()
    refuse_locked(tmp_path)
    RunDirectory(tmp_path).create()
    assert "holds no run, but .lock. That is left" in capsys.readouterr().out
    with DirectoryLock(tmp_path):
        with pytest.raises(HeldError, match="Another job trains in"):
            refuse_locked(tmp_path)
    assert lock.read_bytes() == b""


@pytest.mark.parametrize(
    "make, kind",
    [
        (lambda path: path.symlink_to(path.parent / "behind"), "a link"),
        (os.mkfifo, "a named pipe"),
        (lambda path: path.mkdir(), "a folder"),
    ],
)
def test_lock_that_is_no_file_is_named(tmp_path, make, kind):
    make(tmp_path / ".lock")
    for attempt in (
        refuse_locked,
        lambda path: DirectoryLock(path).__enter__(),
    ):
        with pytest.raises(RunError, match=rf"\.lock is {kind}"):
            attempt(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]
