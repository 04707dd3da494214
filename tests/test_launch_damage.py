"""A run directory that is not as a run left it: made whole, or refused."""

import hashlib
import json
import os
import random
import shutil
import zipfile

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck
from hypothesis import example
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from launch_edits import EDITS
from launching import launch_here

from keras_graft import data
from keras_graft.checkpoint.files import read_checkpoint
from keras_graft.runs.exit_codes import CHECKPOINT_UNUSABLE
from keras_graft.runs.exit_codes import DONE
from keras_graft.runs.exit_codes import REFUSED
from keras_graft.runs.exit_codes import RunError
from keras_graft.runs.results import read_history
from keras_graft.runs.run_report import read_coefficients
from keras_graft.runs.run_state import about_run

SMALL = (
    "--train_examples=64",
    "--num_networks=2",
    "--batch_size=32",
    "--schedule=constant",
    "--epochs=2",
)
# What a finished run does not go on without, if it is there.
FILES = (
    "flags.txt",
    "history.csv",
    "coefficients.csv",
    "results.json",
    "report.html",
    "network_0.keras",
    "network_1.keras",
    "shipped.keras",
    "checkpoints/epoch-000001/arrays.npz",
    "checkpoints/epoch-000001/state.json",
    "checkpoints/epoch-000001/manifest.json",
    "checkpoints/epoch-000002/arrays.npz",
    "checkpoints/epoch-000002/state.json",
    "checkpoints/epoch-000002/manifest.json",
)


def train(folder, *more):
    return launch_here(*SMALL, f"--workdir={folder}", *more)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    # Flags hold the path: copies of it must lie there too.
    folder = tmp_path_factory.mktemp("finished") / "run"
    assert train(folder) == (DONE, "")
    shutil.copytree(folder, folder.with_name("kept"))
    return folder


@pytest.fixture
def folder(finished):
    """The finished run, as it was."""
    shutil.rmtree(finished, ignore_errors=True)
    shutil.copytree(finished.with_name("kept"), finished)
    return finished


def test_what_is_gone_of_a_finished_run_is_made_anew(folder, capsys):
    kept = folder.with_name("kept")
    for name in ("report.html", "history.csv", "coefficients.csv"):
        (folder / name).unlink()
    # There, and not what it was.
    (folder / "shipped.keras").write_bytes(b"")
    with zipfile.ZipFile(folder / "network_1.keras", "w") as file:
        file.writestr("notes.txt", "a text")
    capsys.readouterr()
    assert train(folder) == (DONE, "")
    said = capsys.readouterr().out
    assert (
        "finished, but history.csv, report.html, shipped.keras, "
        "network_1.keras is gone or damaged: the run is ended once more from "
        "its newest checkpoint" in said
    )
    for name in ("history.csv", "coefficients.csv", "results.json"):
        assert (folder / name).read_bytes() == (kept / name).read_bytes()
    test = data.load("digits").test.images[:50]
    for name in ("shipped.keras", "network_1.keras"):
        left, right = (
            keras.models.load_model(place / name).predict(test, verbose=0)
            for place in (folder, kept)
        )
        np.testing.assert_array_equal(left, right)
    assert "data:image/png" in (folder / "report.html").read_text()
    assert train(folder) == (DONE, "")
    assert "This run is finished: " in capsys.readouterr().out


def test_what_cannot_be_made_anew_is_refused(folder):
    (folder / "shipped.keras").unlink()
    shutil.rmtree(folder / "checkpoints")
    code, message = train(folder)
    assert code == CHECKPOINT_UNUSABLE
    assert "shipped.keras is gone or damaged, and there is no " in message
    assert not (folder / "shipped.keras").exists()


@pytest.mark.parametrize(
    "name, text, message",
    [
        ("flags.txt", b"\xff\xfe", "does not hold the flags of a run"),
        ("flags.txt", b"dear diary\n", "does not hold the flags of a run"),
        ("flags.txt", b"", "does not hold the flags of a run"),
        ("results.json", b"\xff\xfe", "no JSON"),
        ("results.json", b"", "no JSON"),
        ("results.json", b'{"epochs": 1e400}', "`epochs`: expected `int`"),
        ("results.json", b'{"epochs": "2"}', "`epochs`: expected `int`"),
        ("results.json", b'{"epochs": true}', "`epochs`: expected `int`"),
        ("results.json", b'{"epochs": -1}', "`epochs`: expected `int` >= 1"),
        ("results.json", b"[2]", "expected `object`"),
        ("results.json", b"{}", "missing required field `epochs`"),
        ("results.json", b"[" * 100_000, "nested too deeply"),
        ("results.json", b'{"epochs": ' + b"9" * 5000 + b"}", "no JSON"),
        ("results.json", b'{"epochs": 3}', "has 3 epochs already"),
    ],
)
def test_edited_file_is_named(folder, name, text, message):
    (folder / name).write_bytes(text)
    code, said = train(folder)
    assert code == REFUSED
    assert message in said
    assert str(folder) in said
    assert (folder / name).read_bytes() == text


@pytest.mark.parametrize(
    "make, kind", [(os.mkdir, "a folder"), (os.mkfifo, "a named pipe")]
)
def test_what_is_no_file_is_named_before_it_is_opened(folder, make, kind):
    (folder / "report.html").unlink()
    for name in (
        "flags.txt",
        "results.json",
        "history.csv",
        "coefficients.csv",
        "shipped.keras",
        "network_1.keras",
        "images.csv",
    ):
        (folder / name).unlink(missing_ok=True)
        make(folder / name)
        code, said = train(folder)
        assert code == REFUSED
        assert f"{folder / name} is {kind}" in said
        assert "ove it away" in said
        (folder / name).rmdir() if make is os.mkdir else (
            folder / name
        ).unlink()
        kept = folder.with_name("kept") / name
        if kept.exists():
            shutil.copy(kept, folder)


def test_file_in_the_place_of_a_folder_is_named(folder):
    for name in ("checkpoints", "tensorboard"):
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).write_text("a file")
        code, said = train(folder)
        assert code == REFUSED
        assert f"{folder / name} is a file" in said
        (folder / name).unlink()


def test_pipe_in_the_place_of_the_lock_is_named(folder):
    (folder / "results.json").unlink()
    os.mkfifo(folder / ".lock")
    code, said = train(folder)
    assert code == REFUSED
    assert ".lock is a named pipe" in said


def test_table_that_cannot_be_read_is_named(tmp_path):
    for name, read in (
        ("coefficients.csv", read_coefficients),
        ("history.csv", read_history),
    ):
        path = tmp_path / name
        for text in (b"\xff\xfe", b"a,b\n1\n", b"1\n", b"epoch,a\n1,x\n"):
            path.write_bytes(text)
            if text != b"1\n" or name == "coefficients.csv":
                with pytest.raises(RunError, match=f"{name} cannot be read"):
                    read(path)


def edit_state(path, change):
    """Changes `state.json` of a checkpoint, with the checksum for it."""
    state = json.loads((path / "state.json").read_text())
    change(state)
    text = json.dumps(state).encode()
    (path / "state.json").write_bytes(text)
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["files"]["state.json"] = {
        "bytes": len(text),
        "sha256": hashlib.sha256(text).hexdigest(),
    }
    (path / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda s: s.update(about={}), "`about`"),
        (lambda s: s["about"].update(flags=3), "`about.flags`"),
        (
            lambda s: s["about"].update(flags="--epochs=9\n"),
            "`about.flags` has not the checksum",
        ),
        (lambda s: s.update(history={}), "`history.val_network_0_accuracy`"),
        (lambda s: s.pop("history"), "`history`"),
        (lambda s: s["history"].update(loss="good"), "`history.loss`"),
        (
            lambda s: s["callbacks"]["CoefficientLogger"]["dict"].update(
                rows=[["a"]]
            ),
            "`callbacks.CoefficientLogger`",
        ),
    ],
)
def test_edited_checkpoint_is_exit_4_with_the_entry(folder, change, message):
    (folder / "results.json").unlink()
    path = folder / "checkpoints" / "epoch-000002"
    edit_state(path, change)
    code, said = train(folder)
    assert code == CHECKPOINT_UNUSABLE
    assert message in said
    assert str(path) in said


@pytest.mark.parametrize("change, message", EDITS)
def test_what_no_run_writes_is_exit_4_by_its_name(finished, change, message):
    path = finished.with_name("kept") / "checkpoints" / "epoch-000002"
    found = read_checkpoint(path)
    about_run(found)
    change(found.state, found.arrays)
    with pytest.raises(RunError) as error:
        about_run(found)
    assert error.value.exit_code == CHECKPOINT_UNUSABLE
    assert message in str(error.value)
    assert str(path) in str(error.value)


def test_epoch_beyond_the_run_is_exit_4(folder):
    (folder / "results.json").unlink()
    path = folder / "checkpoints" / "epoch-000002"

    def longer(state):
        state["epochs"] = list(range(9))
        for values in state["history"].values():
            values += values[:1] * 7

    edit_state(path, longer)
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps(manifest | {"epoch": 9}))
    path.rename(path.with_name("epoch-000009"))
    for epochs in (2, 20):
        code, said = train(folder, f"--epochs={epochs}")
        assert code == CHECKPOINT_UNUSABLE
        assert "its epoch is 9" in said
        assert "--epochs=2" in said


def damage(path, kind, rng):
    """Harms a file, or what is in its place."""
    if kind == "gone":
        path.unlink()
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "folder":
        path.unlink()
        path.mkdir()
    elif kind == "pipe":
        path.unlink()
        os.mkfifo(path)
    elif kind == "link":
        path.unlink()
        path.symlink_to(path.name)
    elif kind == "noise":
        path.write_bytes(rng.randbytes(300))
    else:
        content = bytearray(path.read_bytes())
        place = rng.randrange(len(content))
        if kind == "cut":
            del content[place:]
        else:
            content[place : place + 20] = rng.randbytes(20)
        path.write_bytes(content)


@pytest.mark.slow
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(
    harms=st.lists(
        st.tuples(
            st.sampled_from(FILES),
            st.sampled_from(
                "gone empty folder pipe link noise cut bytes".split()
            ),
        ),
        min_size=1,
        max_size=3,
        unique_by=lambda harm: harm[0],
    ),
    seed=st.integers(0, 1000),
)
@example([("results.json", "link")], 0)
@example([("flags.txt", "link")], 0)
@example([("results.json", "gone"), ("history.csv", "folder")], 0)
@example([("results.json", "gone"), ("shipped.keras", "folder")], 0)
@example([("results.json", "gone"), ("coefficients.csv", "noise")], 0)
def test_any_damage_is_made_good_or_named(folder, harms, seed):
    # The fixture is made once for all examples.
    shutil.rmtree(folder)
    shutil.copytree(folder.with_name("kept"), folder)
    rng = random.Random(seed)
    for name, kind in harms:
        damage(folder / name, kind, rng)
    code, said = train(folder)
    if code == DONE:
        assert said == ""
        json.loads((folder / "results.json").read_bytes())
        assert (folder / "shipped.keras").exists()
    else:
        assert code in (REFUSED, CHECKPOINT_UNUSABLE)
        assert os.fspath(folder) in said
