"""Runs that end before their last epoch, and smoothed labels."""

import json

import keras
import numpy as np
from absl import flags as absl_flags
from launching import launch_here

from keras_graft import data
from keras_graft import flags
from keras_graft.runs import batches


def test_run_ends_where_validation_no_longer_rises(tmp_path):
    arguments = (
        "--num_networks=1",
        "--train_examples=200",
        "--batch_size=60",
        "--learning_rate=1e-9",
        "--epochs=9",
        "--early_stopping=2",
        "--label_smoothing=0.1",
        f"--workdir={tmp_path}",
    )
    assert launch_here(*arguments) == (0, "")
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["epochs"] == 9
    assert results["trained_epochs"] == results["best_epoch"] + 3 < 9
    assert "the validation accuracy had not risen for 2" in results["protocol"]
    page = (tmp_path / "report.html").read_text("utf-8")
    assert f"after {results['trained_epochs']} epochs" in page
    # Finished, and not to be trained on.
    assert launch_here(*arguments) == (0, "")
    again = json.loads((tmp_path / "results.json").read_text())
    assert again == results


def test_labels_are_smoothed_in_the_loss_of_training_and_validation():
    flag_values = absl_flags.FlagValues()
    flags.define(flag_values)
    settings = flags.parse(
        ["launch", "--label_smoothing=0.2", "--class_balance=weight"],
        flag_values,
    )
    splits = data.load(
        "digits",
        data_dir=None,
        train_examples=128,
        validation_fraction=0.2,
        seed=0,
    )
    images, labels, weights = next(
        iter(batches.TrainingData(settings, splits).from_epoch(0).take(1))
    )
    assert (
        labels.shape == (len(images), 10) and weights.shape == labels.shape[:1]
    )
    loss = keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=0.2, reduction="none"
    )
    logits = np.random.default_rng(0).normal(size=labels.shape)
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    smoothed = 0.8 * labels.numpy() + 0.02
    np.testing.assert_allclose(
        loss(labels, logits), -(smoothed * log_p).sum(-1), rtol=1e-5
    )
    _, labels = next(
        iter(batches.evaluation_data(settings, splits, splits.test))
    )
    np.testing.assert_array_equal(labels.numpy().sum(-1), 1)
