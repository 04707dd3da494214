"""Interrupted, resumed, longer, broken: the command, as a user types it."""

import errno
import json
import os
import pathlib
import re
import shutil
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf
from launching import launch
from launching import launch_here
from launching import start
from launching import wait_for

from keras_graft.checkpoint import files
from keras_graft.runs import callbacks
from keras_graft.runs.changed_flags import refuse_changes
from keras_graft.runs.exit_codes import RunError

ROOT = pathlib.Path(__file__).resolve().parents[1]
SMALL = (
    "--train_examples=160",
    "--num_networks=2",
    "--batch_size=32",
    "--schedule=constant",
    "--augment=standard",
    "--workdir=run",
)


def train(*arguments, cwd):
    done = launch(*SMALL, *arguments, cwd=cwd)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    """One run: interrupted, damaged, resumed with other epochs."""
    folder = tmp_path_factory.mktemp("launch")
    run = folder / "run"
    told = {}
    # Names that others give, too.
    (run / ".drafts.tmp").mkdir(parents=True)
    (run / ".mynotes.tmp").write_text("precious")
    process = start(*SMALL, "--epochs=50", cwd=folder)
    wait_for(run / "checkpoints" / "epoch-000002", process)
    told["second job"] = train("--epochs=50", cwd=folder)
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=60)
    told["interrupted"] = (process.returncode, output, errors)
    told["left"] = sorted(path.name for path in run.rglob("*"))
    (done,) = re.findall(r"epoch-0*(\d+)\. ", errors)
    told["done"] = int(done)
    told["other flags"] = train("--epochs=50", "--seed=1", cwd=folder)
    told["never"] = train("--epochs=50", "--resume=never", cwd=folder)
    told["fewer"] = train("--epochs=1", cwd=folder)
    told["epochs"] = int(done) + 1
    shutil.copytree(run, folder / "damaged")
    newest = run / "checkpoints" / f"epoch-{int(done):06d}"
    os.truncate(newest / "arrays.npz", 1000)
    (run / "checkpoints" / ".epoch-000009.1.tmp").mkdir()
    (run / ".keras_graft-history.csv.1.tmp").touch()
    told["resumed"] = train(f"--epochs={told['epochs']}", cwd=folder)
    told["again"] = train(
        f"--epochs={told['epochs']}", "--resume=must", cwd=folder
    )
    return folder, told


def test_signal_names_the_verified_checkpoint_and_the_repeated_epoch(story):
    folder, told = story
    code, _, errors = told["interrupted"]
    assert code == 143
    assert "SIGTERM: stopping after this step" in errors
    assert f"is verified: {folder / 'run' / 'checkpoints'}" in errors
    assert f"repeats epoch {told['done'] + 1} of 50" in errors
    assert "Traceback" not in errors
    assert ".lock" not in told["left"]
    assert not [n for n in told["left"] if n.startswith(".keras_graft")]


@pytest.mark.parametrize(
    "case, message",
    [
        ("second job", "Another job trains in"),
        ("other flags", "--seed: 0 -> 1"),
        ("never", "holds a run"),
        ("fewer", "epochs already"),
    ],
)
def test_what_cannot_go_on_is_refused(story, case, message):
    code, _, errors = story[1][case]
    assert code == 1
    assert message in errors
    assert "Traceback" not in errors


def test_damaged_checkpoint_is_named_and_the_one_before_it_resumed(story):
    code, output, errors = story[1]["resumed"]
    assert code == 0, errors
    before = story[1]["done"] - 1
    epochs = story[1]["epochs"]
    assert "arrays.npz is damaged" in errors
    assert f"Using epoch-{before:06d} instead" in errors
    assert f"Changed: --epochs: 50 -> {epochs}" in output
    assert f"Resumed after epoch {before} of {epochs}" in output


def test_longer_or_shorter_run_says_so_in_its_protocol(story):
    folder, told = story
    results = json.loads((folder / "run" / "results.json").read_text())
    assert (
        f"--epochs was changed from 50 to {told['epochs']}"
        in results["protocol"]
    )


def test_finished_run_says_so(story):
    code, output, _ = story[1]["again"]
    assert code == 0
    assert "This run is finished" in output


def test_nothing_is_left_behind_and_nothing_of_others_removed(story):
    run, told = story[0] / "run", story[1]
    names = [path.name for path in run.rglob("*")]
    hidden = sorted(name for name in names if name.startswith("."))
    assert hidden == [".drafts.tmp", ".mynotes.tmp"]
    assert (run / ".mynotes.tmp").read_text() == "precious"
    assert (
        "holds no run, but .drafts.tmp, .mynotes.tmp"
        in (told["interrupted"][1])
    )
    assert len(list((run / "checkpoints").iterdir())) == 2


def test_resumed_run_ends_as_an_uninterrupted_one(story, tmp_path):
    folder, told = story
    code, _, errors = train(f"--epochs={told['epochs']}", cwd=tmp_path)
    assert code == 0, errors
    whole, resumed = tmp_path / "run", folder / "run"
    for name in ("history.csv", "coefficients.csv"):
        assert (whole / name).read_bytes() == (resumed / name).read_bytes()
    left, right = (
        files.newest_checkpoint(run / "checkpoints", pytest.fail)
        for run in (whole, resumed)
    )
    assert left.epoch == right.epoch == told["epochs"]
    assert left.arrays.keys() == right.arrays.keys()
    for name in left.arrays:
        np.testing.assert_array_equal(left.arrays[name], right.arrays[name])


def test_no_usable_checkpoint_is_exit_4_and_files_stay(story):
    folder = story[0]
    for path in (folder / "damaged" / "checkpoints").iterdir():
        os.truncate(path / "manifest.json", 10)
    before = {
        path: path.read_bytes()
        for path in (folder / "damaged").rglob("*")
        if path.is_file()
    }
    code, _, errors = train("--epochs=50", "--workdir=damaged", cwd=folder)
    assert code == 4
    assert "No checkpoint can be read" in errors
    assert "Traceback" not in errors
    assert all(path.read_bytes() == data for path, data in before.items())


@pytest.fixture
def run_with(tmp_path, monkeypatch):
    """Runs the command in this process, with one callback more."""

    def run(callback):
        make_callbacks = callbacks.make_callbacks

        def more(*arguments):
            made, monitor = make_callbacks(*arguments)
            return [*made, callback], monitor

        monkeypatch.setattr(callbacks, "make_callbacks", more)
        monkeypatch.chdir(tmp_path)
        return launch_here(*SMALL, "--epochs=5")

    return run


def test_all_diverged_is_exit_5_and_the_good_checkpoint_stays(
    run_with, tmp_path
):
    class Poison(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            for network in self.model.networks if epoch == 2 else ():
                network.weights[0].assign(network.weights[0] * np.inf)

    code, message = run_with(Poison())
    assert code == 5
    assert "Every network diverged" in message
    folder = tmp_path / "run"
    found = files.newest_checkpoint(folder / "checkpoints", pytest.fail)
    assert found.epoch == 2
    assert found.state["status"] == ["live", "live"]
    for name, array in found.arrays.items():
        assert np.isfinite(array).all() or name == "trainer/scores"
    assert not (folder / "results.json").exists()


def test_lack_of_memory_is_named_with_what_helps(run_with):
    class Full(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise tf.errors.ResourceExhaustedError(None, None, "OOM")

    code, message = run_with(Full())
    assert code == 1
    assert "fewer --num_networks" in message


def test_full_disk_while_training_is_named_and_the_lock_is_gone(
    run_with, tmp_path, monkeypatch
):
    class FillDisk(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            def full(descriptor):
                raise OSError(errno.ENOSPC, "No space left on device")

            if epoch == 1:
                monkeypatch.setattr(os, "fsync", full)

    code, message = run_with(FillDisk())
    assert code == 1
    assert "No space left on device" in message
    names = [path.name for path in (tmp_path / "run").rglob("*")]
    assert not [name for name in names if name.startswith(".")]
    assert "epoch-000001" in names


def test_must_without_a_checkpoint_is_refused(tmp_path):
    code, _, errors = train("--resume=must", cwd=tmp_path)
    assert code == 1
    assert "there is no checkpoint" in errors
    assert list(tmp_path.iterdir()) == []


def test_how_a_run_is_computed_may_change_and_is_said(tmp_path):
    said = refuse_changes(
        tmp_path, "--seed=1\n--nojit\n", "--seed=1\n--norecompute\n"
    )
    assert said == ["--jit: no -> not set", "--recompute: not set -> no"]
    with pytest.raises(RunError, match="--seed: 1 -> 2"):
        refuse_changes(tmp_path, "--seed=1\n", "--seed=2\n--norecompute\n")
