"""Teachers that the command line names."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl import flags as absl_flags

from keras_graft import data
from keras_graft import flags
from keras_graft import models
from keras_graft.runs import recipe
from keras_graft.runs.exit_codes import RunError


@pytest.fixture(scope="module")
def splits():
    return data.load(
        "digits",
        data_dir=None,
        train_examples=64,
        validation_fraction=0.0,
        seed=0,
    )


def make_trainer(splits, *arguments):
    flag_values = absl_flags.FlagValues()
    flags.define(flag_values)
    settings = flags.parse(
        ["launch", "--num_networks=1", "--mutual_weight=0", *arguments],
        flag_values,
    )
    return recipe.make_trainer(settings, splits)


def save(path, num_classes=10, shape=(8, 8, 1)):
    teacher = models.build("resnet8", num_classes, shape, width=0.25, seed=3)
    teacher.save(path)
    return teacher


def test_every_teacher_is_loaded_with_weight_and_temperature(splits, tmp_path):
    saved = [save(tmp_path / f"{name}.keras") for name in "ab"]
    trainer = make_trainer(
        splits,
        f"--teachers={tmp_path}/a.keras,{tmp_path}/b.keras",
        "--teacher_weight=0.5",
        "--teacher_temperature=3",
    )
    (term,) = trainer.distillation
    assert (term.weight, term.temperature) == (0.5, 3.0)
    images = splits.train.images[:4]
    for teacher, original in zip(term.teachers, saved, strict=True):
        np.testing.assert_array_equal(teacher(images), original(images))


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"num_classes": 7}, r"has outputs of shape \(7,\), and .* \(10,\)"),
        ({"shape": (16, 16, 3)}, r"has inputs of shape \(16, 16, 3\), and the"),
    ],
)
def test_a_teacher_of_other_shapes_is_refused_before_training(
    splits, tmp_path, arguments, message
):
    save(tmp_path / "teacher.keras", **arguments)
    with pytest.raises(RunError, match=message):
        make_trainer(splits, f"--teachers={tmp_path}/teacher.keras")


def test_a_teacher_for_images_of_any_size_is_taken(splits, tmp_path):
    inputs = keras.Input((None, None, 1))
    x = keras.layers.GlobalAveragePooling2D()(inputs)
    teacher = keras.Model(inputs, keras.layers.Dense(10)(x))
    teacher.save(tmp_path / "teacher.keras")
    trainer = make_trainer(splits, f"--teachers={tmp_path}/teacher.keras")
    assert len(trainer.distillation) == 1


def test_a_file_that_is_no_model_is_refused(splits, tmp_path):
    (tmp_path / "teacher.keras").write_text("no model")
    with pytest.raises(RunError, match="cannot be loaded as a Keras model"):
        make_trainer(splits, f"--teachers={tmp_path}/teacher.keras")


@pytest.mark.parametrize("model, layer", [("my teacher", "d"), ("t", "a b")])
def test_a_teacher_whose_name_is_no_scope_is_refused(
    splits, tmp_path, model, layer
):
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Flatten()(inputs)
    x = keras.layers.Dense(10, name=layer)(x)
    teacher = keras.Model(inputs, x, name=model)
    # Keras itself takes the name, and fails later, leaving the scope open.
    teacher.save(tmp_path / "teacher.keras")
    with (
        tf.Graph().as_default(),
        pytest.raises(ValueError, match="not a valid (root )?scope"),
        tf.name_scope(model),
        tf.name_scope(layer),
    ):
        pass
    with pytest.raises(ValueError, match="takes no scope of the name"):
        make_trainer(splits, f"--teachers={tmp_path}/teacher.keras")


@pytest.mark.parametrize("model, layer", [("t.1-x_", "_d"), ("0", ".>d")])
def test_a_name_that_tensorflow_takes_is_taken(splits, tmp_path, model, layer):
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Flatten()(inputs)
    x = keras.layers.Dense(10, name=layer)(x)
    teacher = keras.Model(inputs, x, name=model)
    teacher.predict(splits.train.images[:2], verbose=0)
    teacher.save(tmp_path / "teacher.keras")
    make_trainer(splits, f"--teachers={tmp_path}/teacher.keras")
