"""What ships in other formats, and whether each gives Keras' answers."""

import json
import shutil
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from finished import finished
from launching import launch_here

from keras_graft import data
from keras_graft import flags
from keras_graft import models
from keras_graft.runs import exports
from keras_graft.runs.exit_codes import RunError
from keras_graft.runs.model_card import card
from keras_graft.runs.run_directory import RunDirectory


@keras.saving.register_keras_serializable("test_exports")
class Restless(keras.layers.Layer):
    """Answers differently every time that it is asked."""

    def call(self, x):
        return x + keras.random.normal(keras.ops.shape(x))


def split(count, seed):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, 8, 8, 3)).astype("uint8")
    return data.Split(images, rng.integers(0, 4, count).astype("int32"))


@pytest.fixture(scope="module")
def splits():
    return data.Splits(
        name="noise",
        train=split(40, 0),
        validation=None,
        test=split(30, 1),
        num_classes=4,
        pixel_mean=(120.0, 110.0, 100.0),
        pixel_std=(60.0, 50.0, 70.0),
    )


def shipped_in(folder, splits, *, restless=False):
    directory = RunDirectory(folder)
    network = models.build(
        "resnet8",
        4,
        input_shape=(8, 8, 3),
        width=4,
        seed=0,
        pixel_mean=splits.pixel_mean,
        pixel_std=splits.pixel_std,
    )
    if restless:
        network = keras.Model(network.input, Restless()(network.output))
    network.save(directory.shipped)
    return directory


@pytest.fixture
def directory(tmp_path, splits):
    return shipped_in(tmp_path, splits)


def names_in(directory):
    return sorted(path.name for path in directory.path.iterdir())


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"], indirect=True)
def test_saved_model_answers_as_keras_does(directory, splits, policy):
    (export,) = exports.write_exports(["saved_model"], directory, splits)
    keras.config.set_dtype_policy("float32")
    network = keras.models.load_model(directory.shipped)
    for layer in network.layers:
        layer.dtype_policy = "float32"
    images = splits.test.images.astype("float32")
    expected = network.predict(images, verbose=0)
    loaded = tf.saved_model.load(str(directory.saved_model))
    np.testing.assert_allclose(
        loaded.serve(images).numpy(), expected, rtol=1e-4, atol=1e-5
    )
    right = (expected.argmax(-1) == splits.test.labels).mean()
    assert export.test_accuracy == export.keras_test_accuracy == right
    assert export.largest_difference < 1e-5
    assert export.largest_logit == pytest.approx(np.abs(expected).max())
    assert (export.images, export.numbers) == (30, "float32")
    assert export.size == sum(
        p.stat().st_size for p in directory.saved_model.rglob("*.*")
    )
    # What lies there is replaced as a whole.
    (directory.saved_model / "old").touch()
    exports.write_exports(["saved_model"], directory, splits)
    assert not (directory.saved_model / "old").exists()
    assert names_in(directory) == ["shipped.keras", "shipped_saved_model"]


def test_onnx_has_pixels_as_its_only_input(directory, splits):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("tf2onnx")
    (export,) = exports.write_exports(["onnx"], directory, splits)
    session = onnxruntime.InferenceSession(directory.onnx)
    (taken,) = session.get_inputs()
    assert taken.shape[1:] == [8, 8, 3]
    assert export.largest_difference < 1e-4
    assert names_in(directory) == ["shipped.keras", "shipped.onnx"]


def test_litert_comes_as_float32_and_int8(directory, splits):
    pytest.importorskip("ai_edge_litert")
    whole, small = exports.write_exports(["litert"], directory, splits)
    assert (whole.numbers, small.numbers) == ("float32", "int8")
    assert small.size < whole.size
    assert whole.largest_difference < 1e-4 < small.largest_difference
    assert 0 <= small.test_accuracy <= 1
    assert small.keras_test_accuracy == whole.test_accuracy


def test_a_file_that_gives_other_answers_is_not_kept(tmp_path, splits):
    directory = shipped_in(tmp_path, splits, restless=True)
    with pytest.raises(RunError, match="other answers than Keras") as error:
        exports.write_exports(["saved_model"], directory, splits)
    assert "without saved_model in --export" in str(error.value)
    assert names_in(directory) == ["shipped.keras"]


def test_a_file_that_keras_cannot_read_is_named(tmp_path, splits):
    directory = RunDirectory(tmp_path)
    directory.shipped.write_text("no model")
    with pytest.raises(RunError, match="--export needs shipped.keras as"):
        exports.write_exports(["saved_model"], directory, splits)


SHORT = (
    "--num_networks=1",
    "--train_examples=64",
    "--batch_size=32",
    "--epochs=1",
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exports") / "run"
    arguments = (*SHORT, f"--workdir={folder}")
    assert launch_here(*arguments) == (0, "")
    return folder, arguments


@pytest.mark.slow
def test_finished_run_is_exported_later_and_again(run, capsys):
    folder, arguments = run
    before = json.loads((folder / "results.json").read_text())
    assert before["exports"] == []
    arguments = (*arguments, "--export=saved_model")
    assert launch_here(*arguments) == (0, "")
    said = capsys.readouterr().out
    assert "shipped_saved_model is gone" in said
    assert "shipped_saved_model   0." in said
    results = json.loads((folder / "results.json").read_text())
    (export,) = results["exports"]
    assert export["test_accuracy"] == pytest.approx(results["test_accuracy"])
    assert "| shipped_saved_model | " in (folder / "card.md").read_text()
    assert "--export=saved_model\n" in (folder / "flags.txt").read_text()
    assert launch_here(*arguments) == (0, "")
    assert "This run is finished: " in capsys.readouterr().out
    shutil.rmtree(folder / "shipped_saved_model" / "variables")
    assert launch_here(*arguments) == (0, "")
    assert (folder / "shipped_saved_model" / "variables").is_dir()
    capsys.readouterr()
    # A longer run ships other weights, and does not leave that unsaid.
    longer = (*run[1], "--epochs=2")
    assert launch_here(*longer) == (0, "")
    assert "shipped_saved_model is from an earlier" in capsys.readouterr().out


@pytest.mark.parametrize(
    "asked, absent, message",
    [
        ("--export=onnx", "tf2onnx", "keras_graft[export]"),
        ("--export=litert", "ai_edge_litert", "needs ai-edge-litert"),
        ("--track=wandb", "wandb", "keras_graft[wandb]"),
        ("--track=mlflow", "mlflow", "keras_graft[mlflow]"),
        ("--track=tensorboard", "tensorboard", "keras_graft[tensorboard]"),
    ],
)
def test_absent_package_is_refused_before_training(
    monkeypatch, tmp_path, asked, absent, message
):
    monkeypatch.setitem(sys.modules, absent, None)
    code, said = launch_here(*SHORT, f"--workdir={tmp_path / 'run'}", asked)
    assert code == 1
    assert said.startswith(f"{asked} needs ") and message in said
    assert "pip install 'keras_graft[" in said and "[command]" not in said
    assert not (tmp_path / "run").exists()


def test_card_names_what_was_exported():
    values = flags.FlagValues()
    flags.define(values)
    settings = flags.parse(["launch", "--export=onnx"], values)
    export = exports.Export(
        "shipped.onnx", "onnx", "float32", 10, 30, 2e-6, 5.5, 0.9, 0.9
    )
    text = card(finished(exports=[export]), settings)
    assert "| shipped.onnx | onnx, float32 | 0.9000 | 2e-06 |" in text
    assert "Other formats" not in card(finished(), settings)
