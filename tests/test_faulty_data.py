"""Faults of data that no part of the package sees alone."""

import warnings

import numpy as np
import pytest
import tensorflow as tf
from builders import crossentropy
from builders import make_trainer
from builders import small_network
from builders import small_networks
from comparisons import assert_same_state

from keras_graft.checkpoint.training_state import read_arrays


def test_endless_data_without_steps_is_refused(images):
    trainer = make_trainer([small_network()])
    endless = tf.data.Dataset.from_tensor_slices(images).batch(16).repeat()
    with pytest.raises(ValueError, match="steps_per_epoch"):
        trainer.fit(endless, verbose=0)


def test_uint8_pixels_train_like_float32(images):
    x, y = images
    ends = []
    for dtype in ("uint8", "float32"):
        trainer = make_trainer(small_networks(2))
        trainer.fit(
            x.astype("uint8").astype(dtype),
            y,
            batch_size=16,
            shuffle=False,
            verbose=0,
        )
        ends.append(read_arrays(trainer))
    for name, value in ends[0].items():
        np.testing.assert_allclose(value, ends[1][name], atol=1e-5)


def test_nan_in_one_batch_costs_that_batch_only(images):
    x, y = images
    bad = x.copy()
    bad[16:32] = np.nan
    keep = np.r_[:16, 32:64]
    ends = []
    for arrays in ((bad, y), (x[keep], y[keep])):
        trainer = make_trainer(small_networks(2))
        history = trainer.fit(
            *arrays, batch_size=16, shuffle=False, verbose=0
        ).history
        assert np.isfinite(history["loss"]).all()
        assert trainer.status == ["live", "live"]
        ends.append(trainer)
    assert_same_state(*ends)


def test_data_that_is_all_nan_ends_training_untouched(images, caplog):
    trainer = make_trainer(small_networks(2))
    before = [v.numpy() for n in trainer.networks for v in n.weights]
    history = trainer.fit(
        np.full_like(images[0], np.nan),
        images[1],
        batch_size=16,
        epochs=4,
        verbose=0,
    )
    assert trainer.status == ["retired", "retired"]
    assert history.epoch == [0]
    assert "Every network diverged" in caplog.text
    after = [v.numpy() for n in trainer.networks for v in n.weights]
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(a, b)


def test_generator_that_ends_early_is_named_and_repeats_no_batch(images):
    x, y = images
    starts = (0, 16, 32, 48, 0, 16)
    pairs = [(x[i : i + 16], y[i : i + 16]) for i in starts]
    trainer = make_trainer(small_networks(2))
    with pytest.warns(UserWarning, match="ran out of data"):
        history = trainer.fit(
            (pair for pair in pairs), steps_per_epoch=4, epochs=2, verbose=0
        ).history
    expected = make_trainer(small_networks(2))
    for pair in pairs:
        expected.train_on_batch(*pair)
    for mine, theirs in zip(trainer.networks, expected.networks, strict=True):
        for a, b in zip(mine.weights, theirs.weights, strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), atol=1e-6)
    assert np.isfinite(history["loss"]).all()
    assert len(history["loss"]) == 2


@pytest.mark.parametrize(
    "steps_per_epoch",
    [4, *(pytest.param(n, marks=pytest.mark.slow) for n in (3, None))],
)
def test_generator_that_has_ended_ends_training(
    images, caplog, steps_per_epoch
):
    x, y = images
    starts = (0, 16, 32, 48, 0, 16)
    pairs = [(x[i : i + 16], y[i : i + 16]) for i in starts]
    trainer = make_trainer(small_networks(2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras: "ran out of data".
        history = trainer.fit(
            (pair for pair in pairs),
            steps_per_epoch=steps_per_epoch,
            epochs=5,
            verbose=0,
        ).history
    assert len(history["loss"]) == (1 if steps_per_epoch is None else 2)
    assert "ended after 6 batches" in caplog.text
    expected = make_trainer(small_networks(2))
    for pair in pairs:
        expected.train_on_batch(*pair)
    for mine, theirs in zip(trainer.networks, expected.networks, strict=True):
        for a, b in zip(mine.weights, theirs.weights, strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), atol=1e-6)


@pytest.mark.parametrize("size", [5, pytest.param(1, marks=pytest.mark.slow)])
def test_validation_set_smaller_than_the_batch_counts_each_example_once(
    images, size
):
    x, y = (part[:size] for part in images)
    trainer = make_trainer(small_networks(2))
    history = trainer.fit(
        *images,
        batch_size=16,
        validation_data=(x, y),
        validation_batch_size=16,
        verbose=0,
    ).history
    for k, network in enumerate(trainer.networks):
        network.compile(
            loss=crossentropy(),
            metrics=["accuracy"],
        )
        loss, accuracy = network.evaluate(x, y, verbose=0)
        np.testing.assert_allclose(
            history[f"val_network_{k}_loss"], [loss], rtol=1e-5
        )
        np.testing.assert_allclose(
            history[f"val_network_{k}_accuracy"], [accuracy]
        )


def test_validation_set_smaller_than_the_replicas(images, two_replicas):
    x, y = (part[:1] for part in images)
    with two_replicas.scope():
        trainer = make_trainer(small_networks(2))
    logs = trainer.evaluate(x, y, verbose=0, return_dict=True)
    expected = [
        float(n(x)[0].numpy().argmax() == y[0]) for n in trainer.networks
    ]
    assert [logs[f"network_{k}_accuracy"] for k in (0, 1)] == expected
    assert all(np.isfinite(value) for value in logs.values())
