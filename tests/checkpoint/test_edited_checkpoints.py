"""Checkpoints with matching checksums that no training wrote."""

import hashlib
import io
import json
import os
import re
import shutil
import zipfile

import keras
import numpy as np
import pytest
from builders import make_trainer
from builders import small_networks
from edits import ARRAYS
from edits import STATE
from hypothesis import HealthCheck
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

import keras_graft
from keras_graft.checkpoint import files
from keras_graft.checkpoint.training_state import read_arrays
from keras_graft.swa import StochasticWeightAveraging

NEWEST = "epoch-000002"


class Counter(keras.callbacks.Callback):
    """A user's own callback with a state, which trusts what it gets."""

    def __init__(self):
        super().__init__()
        self.epochs = []

    def get_state(self):
        return {"epochs": self.epochs, "weights": np.ones(3)}

    def set_state(self, state):
        self.epochs = [*state["epochs"]]


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 255, (32, 8, 8, 1)).astype("float32")
    return x, np.arange(32, dtype="int32") % 4


def with_adam():
    return make_trainer(small_networks(2), optimizer="adam", metrics=None)


def train(trainer, folder, images, epochs=2, *more):
    checkpoint = keras_graft.RunCheckpoint(folder)
    return trainer.fit(
        keras_graft.data.EpochOrdered(images, batch_size=16, seed=0),
        epochs=epochs,
        initial_epoch=checkpoint.restore(trainer),
        callbacks=[
            checkpoint,
            keras.callbacks.EarlyStopping("loss", patience=9),
            keras.callbacks.ReduceLROnPlateau("loss"),
            keras_graft.InvalidFilterMonitor(),
            StochasticWeightAveraging(start=1),
            Counter(),
            *more,
        ],
        verbose=0,
    )


@pytest.fixture(scope="module")
def written(tmp_path_factory, images):
    folder = tmp_path_factory.mktemp("written")
    train(with_adam(), folder, images)
    return folder


@pytest.fixture(scope="module")
def trainer():
    return with_adam()


def read(path):
    with np.load(path / "arrays.npz") as file:
        arrays = dict(file)
    return arrays, json.loads((path / "state.json").read_text())


def write(path, arrays, state, **manifest):
    """Writes a checkpoint as someone would who edits it with care."""
    np.savez(path / "arrays.npz", **arrays)
    (path / "state.json").write_text(json.dumps(state))
    sign(path, **manifest)


def sign(path, **manifest):
    """Writes a manifest for the files that are there."""
    content = json.loads((path / "manifest.json").read_text())
    for name in ("arrays.npz", "state.json"):
        data = (path / name).read_bytes()
        content["files"][name] = {
            "bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
        }
    (path / "manifest.json").write_text(json.dumps(content | manifest))


@pytest.fixture
def edit(written, tmp_path):
    """Copies the checkpoints; `edit(change)` edits the newest of them."""

    def edit(change):
        folder = tmp_path / "edited"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(written, folder)
        arrays, state = read(folder / NEWEST)
        change(arrays, state)
        write(folder / NEWEST, arrays, state)
        return folder

    return edit


def assert_named(trainer, folder, images, message):
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    with pytest.raises(files.CheckpointError, match=message):
        train(trainer, folder, images, 3)
    after = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    assert before == after


@pytest.mark.parametrize("change, message", STATE)
def test_edited_state_is_refused_by_the_entry(
    edit, trainer, images, change, message
):
    assert_named(trainer, edit(change), images, message)


@pytest.mark.parametrize("change, message", ARRAYS)
def test_edited_array_is_refused_by_its_name(
    edit, trainer, images, change, message
):
    assert_named(trainer, edit(change), images, re.escape(message))


def test_what_is_no_matter_goes_on_and_is_shown_with_escapes(
    edit, images, caplog
):
    escape = "\x1b[2J"

    def change(arrays, state):
        state["made_by"]["keras"] = escape
        state["rates"] = [{"class_name": escape, "config": [1]}, escape]
        state["callbacks"][escape] = {"dict": {}}
        state["history"][escape] = [0.5, [1.0, 2.0]]

    train(with_adam(), edit(change), images, 3)
    assert caplog.text.count("\\x1b[2J") == 4
    assert "\x1b" not in caplog.text


def test_state_that_is_nested_too_deeply_is_refused(edit, trainer, images):
    folder = edit(lambda arrays, state: None)
    arrays, state = read(folder / NEWEST)
    deep = "[" * 5000 + "]" * 5000
    text = json.dumps(state).replace('"about": {', f'"about": {{"x": {deep},')
    (folder / NEWEST / "state.json").write_text(text.replace(",}", "}"))
    sign(folder / NEWEST)
    # It cannot be read at all, so that the one before it is used.
    said = []
    assert files.newest_checkpoint(folder, said.append).epoch == 1
    assert "nested too deeply" in said[0]


@pytest.mark.parametrize(
    "manifest, message",
    [
        ({"epoch": "2"}, "`epoch`"),
        ({"epoch": -2}, "`epoch`"),
        ({"epoch": 2.0}, "`epoch`"),
        ({"epoch": 10**30}, "`epoch`"),
        ({"format": [1]}, "`format`"),
        ({"format": True}, "`format`"),
        ({"files": []}, "`files`"),
        ({"files": {"arrays.npz": 3}}, "`files"),
        ({"more": 1}, "unknown field `more`"),
    ],
)
def test_edited_manifest_is_named(written, tmp_path, manifest, message):
    path = tmp_path / NEWEST
    shutil.copytree(written / NEWEST, path)
    content = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps(content | manifest))
    with pytest.raises(files.CheckpointError, match=message):
        files.read_checkpoint(path)


def of_shape(*shape):
    """An array's file of one number that says that it has this shape."""
    file = io.BytesIO()
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue() + bytes(4)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    "name, content, message",
    [
        ("notes.txt", b"a text", "notes.txt: .*no array"),
        ("trainer/masked.npy", of_shape(1), "trainer/masked: .*twice"),
        ("huge.npy", of_shape(10**12), "huge: .*takes 4000000000000 bytes"),
        ("odd.npy", of_shape(-1), "odd: .*its shape"),
        ("zeros.npy", of_shape(1) + bytes(10**6), "zeros: .*larger than the"),
    ],
)
def test_member_that_is_no_array_of_its_own_is_named(
    written, tmp_path, name, content, message
):
    folder = tmp_path / "edited"
    shutil.copytree(written, folder)
    path = folder / NEWEST
    with zipfile.ZipFile(path / "arrays.npz", "a") as file:
        packed = zipfile.ZIP_DEFLATED if len(content) > 10**6 else None
        file.writestr(name, content, packed)
    sign(path)
    # It cannot be read at all, so that the one before it is used.
    said = []
    assert files.newest_checkpoint(folder, said.append).epoch == 1
    assert re.search(message, said[0])
    assert str(path) in said[0]


@pytest.mark.parametrize("name", ["state.json", "manifest.json"])
def test_name_that_is_there_twice_is_named(written, tmp_path, name):
    path = tmp_path / NEWEST
    shutil.copytree(written / NEWEST, path)
    text = (path / name).read_text()
    key = "stopped" if name == "state.json" else "epoch"
    (path / name).write_text(text.replace("{", f'{{"{key}": 2, ', 1))
    if name == "state.json":
        sign(path)
    with pytest.raises(files.CheckpointError, match=f"`{key}` is there twice"):
        files.read_checkpoint(path)


@pytest.mark.parametrize("name", ["state.json", "manifest.json", "arrays.npz"])
def test_pipe_in_the_place_of_a_file_is_named(written, tmp_path, name):
    folder = tmp_path / "edited"
    shutil.copytree(written, folder)
    (folder / NEWEST / name).unlink()
    os.mkfifo(folder / NEWEST / name)
    said = []
    assert files.newest_checkpoint(folder, said.append).epoch == 1
    assert re.search(f"{name}.* a named pipe", said[0])


class Poison(keras.callbacks.Callback):
    """A user's callback that spoils a live network after its check."""

    def on_epoch_end(self, epoch, logs=None):
        if epoch == 1:
            mean = self.model.networks[1].get_layer("bn").moving_mean
            mean.assign(np.full(mean.shape, np.nan))
            # As squares of large gradients do, without harm.
            slot = self.model.optimizer.optimizers[0].variables[3]
            slot.assign(np.full(slot.shape, np.inf))


def test_what_was_not_finite_when_it_was_saved_comes_back(tmp_path, images):
    trainer = with_adam()
    train(trainer, tmp_path, images, 2, Poison())
    again = with_adam()
    assert keras_graft.RunCheckpoint(tmp_path).restore(again) == 2
    # Averaging puts other weights in place when `fit` has ended.
    saved, _ = read(tmp_path / NEWEST)
    assert not all(np.isfinite(array).all() for array in saved.values())
    for name, array in read_arrays(again).items():
        np.testing.assert_array_equal(saved[name], array, err_msg=name)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 10**20)
    | st.floats()
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["array", "dict", "loss", "x"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_any_edit_goes_on_or_is_refused_in_words(edit, trainer, images, data):
    def change(arrays, state):
        entry = state
        for _ in range(4):
            key = data.draw(st.sampled_from(sorted(entry)))
            inner = entry[key]
            if (
                not isinstance(inner, dict)
                or not inner
                or data.draw(st.booleans())
            ):
                break
            entry = inner
        entry[key] = data.draw(JSON)

    folder = edit(change)
    try:
        train(trainer, folder, images, 2)
    except files.CheckpointError as error:
        assert str(folder / NEWEST) in str(error)
