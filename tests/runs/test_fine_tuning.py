"""Weights that have learnt before, kept as they are for a while."""

import csv
import json
import os
import signal

import keras
import numpy as np
import pytest
from absl import flags as absl_flags
from builders import slow_but
from launching import launch_here

from keras_graft import data
from keras_graft import flags
from keras_graft import models
from keras_graft.checkpoint import files
from keras_graft.runs import callbacks
from keras_graft.runs import recipe
from keras_graft.runs.exit_codes import RunError
from keras_graft.runs.signals import Interrupted
from keras_graft.structure.classifiers import backbone_weights

SMALL = (
    "--model=resnet8",
    "--num_networks=2",
    "--train_examples=200",
    "--batch_size=60",
    "--learning_rate=0.05",
    "--nograft",
)


@pytest.fixture(scope="module")
def learnt(tmp_path_factory):
    """A ResNet-8 for seven other classes, and other pixels."""
    network = models.build(
        "resnet8", 7, (8, 8, 1), seed=9, pixel_mean=[3.0], pixel_std=[5.0]
    )
    path = tmp_path_factory.mktemp("learnt") / "seven.keras"
    network.save(path)
    return network, path


@pytest.fixture(scope="module")
def splits():
    return data.load(
        "digits",
        data_dir=None,
        train_examples=200,
        validation_fraction=0.1,
        seed=0,
    )


def trainer_of(splits, *arguments):
    flag_values = absl_flags.FlagValues()
    flags.define(flag_values)
    settings = flags.parse(["launch", *SMALL, *arguments], flag_values)
    return settings, recipe.make_trainer(settings, splits)


def test_networks_begin_with_the_weights_under_new_classifiers(learnt, splits):
    network, path = learnt
    _, trainer = trainer_of(splits, f"--weights={path}")
    expected = [np.asarray(v) for v in backbone_weights(network)]
    for one in trainer.networks:
        assert one.output_shape == (None, 10)
        for weight, value in zip(backbone_weights(one), expected, strict=True):
            np.testing.assert_array_equal(weight, value)
        # Of the pixels that the weights have seen, not of these.
        statistics = one.get_layer("normalization")
        np.testing.assert_allclose(np.ravel(statistics.mean), 3.0)
    heads = [np.asarray(n.get_layer("logits").kernel) for n in trainer.networks]
    assert np.abs(heads[0] - heads[1]).max() > 0.1


def test_classifier_of_a_saved_model_is_replaced(learnt, splits):
    network, path = learnt
    _, trainer = trainer_of(splits, f"--model={path}", f"--weights={path}")
    for one in trainer.networks:
        assert one.output_shape == (None, 10)
        np.testing.assert_array_equal(
            one.get_layer("stem_conv").kernel,
            network.get_layer("stem_conv").kernel,
        )


def test_weights_that_do_not_fit_are_refused(learnt, splits, tmp_path):
    _, path = learnt
    with pytest.raises(RunError, match="have 26 layers .* file 14"):
        trainer_of(splits, "--model=resnet14", f"--weights={path}")
    text = tmp_path / "no.keras"
    text.write_text("no archive")
    with pytest.raises(RunError, match="--weights=.* cannot be loaded"):
        trainer_of(splits, f"--weights={text}")


@pytest.mark.parametrize(("frozen", "count"), [("backbone", 21), ("2", 3)])
def test_frozen_layers_do_not_learn(learnt, splits, frozen, count):
    _, path = learnt
    _, plain = trainer_of(splits)
    _, trainer = trainer_of(splits, f"--weights={path}", f"--freeze={frozen}")
    for one, other in zip(plain.networks, trainer.networks, strict=True):
        kept = len(one.trainable_weights) - len(other.trainable_weights)
        assert kept == count
        assert not other.get_layer("stem_conv").trainable
        assert other.get_layer("logits").trainable


def test_more_layers_than_there_are_cannot_be_frozen(learnt, splits):
    with pytest.raises(RunError, match="has 14 layers with weights before"):
        trainer_of(splits, f"--weights={learnt[1]}", "--freeze=15")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--weights=imagenet",), "no such weights that could be fetched"),
        (("--weights=x.keras",), "not a file of weights"),
        (("--weights={0}", "--initial_network={0}"), "both say"),
        (("--freeze=backbone",), "have learnt nothing"),
        (("--freeze=all",), "one of none, backbone, a whole"),
        (("--freeze=0",), "one of none, backbone, a whole"),
        (
            ("--weights={0}", "--freeze=1", "--unfreeze_epoch=20"),
            "is not below --epochs=20",
        ),
        (("--weights={0}", "--unfreeze_epoch=2"), "nothing is frozen"),
        (
            (
                "--weights={0}",
                "--freeze=1",
                "--unfreeze_epoch=9",
                "--swa_start=0.4",
            ),
            "averages from epoch 8 on",
        ),
    ],
)
def test_flags_that_cannot_be_meant_are_refused(learnt, arguments, message):
    flag_values = absl_flags.FlagValues()
    flags.define(flag_values)
    words = [word.format(learnt[1]) for word in arguments]
    with pytest.raises((ValueError, absl_flags.Error), match=message):
        flags.parse(["launch", *SMALL, *words], flag_values)


def test_weights_that_are_nowhere_end_the_run_with_their_remedies(
    tmp_path, monkeypatch
):
    def offline(**arguments):
        raise Exception("URL fetch failure on https://x: Name not known")

    monkeypatch.setattr(keras.applications, "VGG16", offline)
    offline.__module__ = "keras.applications.vgg16"
    images = np.zeros((20, 32, 32, 3), "uint8")
    labels = np.arange(20) % 2
    np.savez(tmp_path / "x.npz", x=images, y=labels)
    code, message = launch_here(
        f"--dataset=npz:{tmp_path / 'x.npz'}",
        "--model=applications:VGG16",
        "--weights=imagenet",
        "--batch_size=4",
        f"--workdir={tmp_path / 'run'}",
    )
    assert code == 3
    assert "weights of VGG16 for ImageNet are not at hand" in message
    assert "copy ~/.keras/models" in message
    assert "--weights=PATH.keras" in message
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def tuned(learnt, tmp_path_factory):
    """A run whose backbone learns from its third epoch on."""
    folder = tmp_path_factory.mktemp("tuned")
    arguments = (
        *SMALL,
        f"--weights={learnt[1]}",
        "--freeze=backbone",
        "--unfreeze_epoch=2",
        "--backbone_rate=0.5",
        "--epochs=4",
    )
    run = folder / "run"
    assert launch_here(*arguments, f"--workdir={run}") == (0, "")
    return folder, arguments


def test_backbone_learns_from_its_epoch_on(tuned):
    run = tuned[0] / "run"
    with open(run / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    distances = [float(row["distance"]) for row in rows]
    assert distances[:2] == [0.0, 0.0]
    assert 0 < distances[2] < distances[3] < 1.5
    rates = [float(row["learning_rate_network_1"]) for row in rows]
    # A cosine over all epochs: it does not begin anew.
    course = [0.025 * (1 + np.cos(np.pi * k / 4)) for k in (1, 2, 3, 4)]
    np.testing.assert_allclose(rates, course, atol=1e-6)
    weights = json.loads((run / "results.json").read_text())["weights"]
    assert weights["freeze"] == "backbone"
    assert weights["unfreeze_epoch"] == 2
    assert len(weights["sha256"]) == 64


@pytest.mark.parametrize("epoch", slow_but([1], [0, 1, 2, 3]))
def test_killed_run_ends_with_the_same_bits_over_the_unfreezing(
    tuned, monkeypatch, epoch
):
    folder, arguments = tuned
    again = (*arguments, f"--workdir={folder / f'killed{epoch}'}")

    class Stop(keras.callbacks.Callback):
        def on_epoch_begin(self, now, logs=None):
            if now == epoch:
                os.kill(os.getpid(), signal.SIGTERM)

    def more(*given):
        made, monitor = make_callbacks(*given)
        return [*made, Stop()], monitor

    make_callbacks = callbacks.make_callbacks
    with monkeypatch.context() as patch:
        patch.setattr(callbacks, "make_callbacks", more)
        with pytest.raises(Interrupted):
            launch_here(*again)
    assert launch_here(*again) == (0, "")
    whole, killed = folder / "run", folder / f"killed{epoch}"
    assert (whole / "history.csv").read_bytes() == (
        killed / "history.csv"
    ).read_bytes()
    left, right = (
        files.newest_checkpoint(run / "checkpoints", pytest.fail)
        for run in (whole, killed)
    )
    assert left.arrays.keys() == right.arrays.keys()
    for name in left.arrays:
        np.testing.assert_array_equal(left.arrays[name], right.arrays[name])


def test_run_goes_on_with_the_same_weights_only(tuned, learnt):
    folder, arguments = tuned
    _, path = learnt
    kept = path.read_bytes()
    longer = (*arguments, "--epochs=5", f"--workdir={folder / 'run'}")
    try:
        models.build("resnet8", 7, (8, 8, 1), seed=1).save(path)
        code, message = launch_here(*longer)
    finally:
        path.write_bytes(kept)
    assert code == 1
    assert "began with other files under these names" in message
    assert f"--weights={path}" in message
