"""Faults and bad input that no part of the package sees alone."""

import os
import signal
import traceback
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from builders import crossentropy
from builders import make_trainer
from builders import small_network
from builders import small_networks

import keras_graft
from keras_graft.checkpoint.training_state import read_arrays
from keras_graft.runs.interruption import StopAtSignal
from keras_graft.runs.signals import Interrupted
from keras_graft.runs.signals import StopSignals


def train(trainer, images, folder, *callbacks, epochs=3, **arguments):
    """A run in user code: graft, checkpoint, and it goes on if it can."""
    checkpoint = keras_graft.RunCheckpoint(folder)
    return trainer.fit(
        keras_graft.data.EpochOrdered(images, batch_size=16, seed=0),
        epochs=epochs,
        initial_epoch=checkpoint.restore(trainer),
        callbacks=[*callbacks, keras_graft.GraftCallback(), checkpoint],
        verbose=0,
        **arguments,
    )


def assert_same_state(left, right):
    left, right = read_arrays(left), read_arrays(right)
    assert left.keys() == right.keys()
    for name in left:
        np.testing.assert_array_equal(left[name], right[name], err_msg=name)


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


# Networks.


def test_networks_of_equal_names_are_kept_apart(images, tmp_path):
    def make(name):
        networks = small_networks(3)
        for k, network in enumerate(networks):
            network.name = name or f"net{k}"
        return make_trainer(networks)

    expected = make(None)
    history = train(expected, images, tmp_path / "other", epochs=2)
    trainer = make("net")
    train(trainer, images, tmp_path / "equal", epochs=1)
    trainer = make("net")
    equal = train(trainer, images, tmp_path / "equal", epochs=2)
    assert equal.history == history.history
    assert_same_state(trainer, expected)
    trainer.save(tmp_path / "trainer.keras")
    loaded = keras.models.load_model(tmp_path / "trainer.keras")
    assert_same_state(loaded, trainer)
    trainer.save_weights(tmp_path / "trainer.weights.h5")
    again = keras_graft.GraftTrainer([small_network(9 + k) for k in range(3)])
    again.build((None, 8, 8, 1))
    again.load_weights(tmp_path / "trainer.weights.h5")
    for mine, theirs in zip(trainer.networks, again.networks, strict=True):
        for a, b in zip(mine.weights, theirs.weights, strict=True):
            np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_networks_that_share_a_variable_only_are_refused():
    class Scaled(keras.layers.Layer):
        """Multiplies by a variable that it is given."""

        def __init__(self, scale):
            super().__init__()
            self.scale = scale

        def call(self, x):
            return self.scale * x

    scale = keras.Variable(2.0)
    first, second = (
        keras.Sequential([small_network(k), Scaled(scale)]) for k in range(2)
    )
    with pytest.raises(ValueError, match="share the variable"):
        keras_graft.GraftTrainer([first, second])


def test_networks_without_convolutions_train_but_cannot_graft(images):
    def make():
        return make_trainer(
            [
                keras.Sequential(
                    [
                        keras.Input((8, 8, 1)),
                        keras.layers.Flatten(),
                        keras.layers.Dense(
                            4,
                            kernel_initializer=(
                                keras.initializers.GlorotUniform(k)
                            ),
                        ),
                    ]
                )
                for k in range(2)
            ]
        )

    trainer = make()
    history = trainer.fit(*images, batch_size=16, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    trainer = make()
    with pytest.raises(ValueError, match="no convolution kernel to graft"):
        trainer.fit(*images, callbacks=[keras_graft.GraftCallback()], verbose=0)
    assert [int(o.iterations) for o in trainer.optimizer.optimizers] == [0, 0]


def test_degenerate_kernels_have_finite_coefficients():
    rng = np.random.default_rng(0)
    kernels = {
        "zero": np.zeros((1, 1, 1, 4)),
        "constant": np.full((1, 1, 4, 4), 0.25),
        "tiny": rng.normal(size=(3, 3, 4, 4)) * 1e-40,
        "one_weight": np.full((1, 1, 4, 1), 0.5),
    }

    def network():
        network = keras.Sequential([keras.Input((4, 4, 1))])
        for name, kernel in kernels.items():
            network.add(
                keras.layers.Conv2D(
                    kernel.shape[-1], kernel.shape[0], name=name
                )
            )
            network.get_layer(name).kernel.assign(kernel)
        network.add(keras.layers.GlobalAveragePooling2D())
        network.add(keras.layers.Dense(2))
        return network

    for criterion in ("entropy", "l1"):
        trainer = make_trainer([network() for _ in range(3)])
        graft = keras_graft.GraftCallback(start=0, criterion=criterion)
        history = trainer.fit(
            rng.uniform(size=(4, 4, 4, 1)).astype("float32"),
            np.array([0, 1, 0, 1]),
            epochs=2,
            verbose=0,
            callbacks=[graft],
        ).history
        # Equal kernels hold equal information.
        for suffix in ("", "_min", "_max"):
            assert history[f"graft_coefficient{suffix}"][0] == 0.5
            assert 0 <= history[f"graft_coefficient{suffix}"][1] <= 1
        for one in trainer.networks:
            for weight in one.weights:
                assert np.isfinite(weight.numpy()).all()


def test_more_networks_than_epochs(images):
    trainer = make_trainer(small_networks(4))
    history = trainer.fit(
        *images,
        batch_size=32,
        epochs=2,
        verbose=0,
        callbacks=[keras_graft.GraftCallback()],
    ).history
    assert history["graft_coefficient"][0] == 1.0
    assert 0 < history["graft_coefficient"][1] < 1
    assert trainer.status == ["live"] * 4


class PoisonStatistics(keras.callbacks.Callback):
    """Makes the moving mean of network_1 NaN as an epoch ends."""

    def on_epoch_end(self, epoch, logs=None):
        if epoch == 1:
            mean = self.model.networks[1].get_layer("bn").moving_mean
            mean.assign(np.full(mean.shape, np.nan))


def test_statistics_that_are_not_finite_do_not_travel(images, caplog):
    trainer = make_trainer(small_networks(3))
    arguments = {"batch_size": 16, "epochs": 4, "verbose": 0}
    trainer.fit(
        *images,
        callbacks=[PoisonStatistics(), keras_graft.GraftCallback()],
        **arguments,
    )
    assert "its weight bn/moving_mean is not finite" in caplog.text
    assert "network_1 is healed" in caplog.text
    assert trainer.status == ["live"] * 3
    for network in trainer.networks:
        for weight in network.weights:
            assert np.isfinite(weight.numpy()).all()
    # Without a graft nothing can heal it.
    trainer.fit(*images, callbacks=[PoisonStatistics()], **arguments)
    assert trainer.status == ["live", "retired", "live"]


# Data.


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


@pytest.mark.parametrize("steps_per_epoch", [4, 3, None])
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


@pytest.mark.parametrize("size", [1, 5])
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


# What ends a run.


def test_callback_that_raises_leaves_traceback_and_checkpoint(images, tmp_path):
    def make():
        return make_trainer(small_networks(2))

    def mistake_of_the_user():
        raise ZeroDivisionError("no such rate")

    whole = make()
    expected = train(whole, images, tmp_path / "whole")
    raising = At("on_epoch_end", mistake_of_the_user)
    with pytest.raises(ZeroDivisionError, match="no such rate") as caught:
        train(make(), images, tmp_path / "cut", raising)
    frames = [frame.name for frame in traceback.extract_tb(caught.tb)]
    assert frames[-1] == "mistake_of_the_user"
    assert checkpoints_in(tmp_path / "cut") == ["epoch-000001", "epoch-000002"]
    resumed = make()
    found = train(resumed, images, tmp_path / "cut")
    assert found.history == expected.history
    assert_same_state(resumed, whole)


@pytest.mark.parametrize(
    "in_command, number",
    [
        (True, signal.SIGINT),
        (True, signal.SIGTERM),
        (True, signal.SIGHUP),
        (False, signal.SIGINT),
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
    expected = train(whole, images, tmp_path / "whole", **validation)
    at = At("on_test_batch_begin", send)
    if in_command:
        with StopSignals() as signals, pytest.raises(Interrupted) as caught:
            with signals.deferred():
                train(
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
        # A shell that starts the tests in the background has it ignored.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            with pytest.raises(KeyboardInterrupt):
                train(make(), images, tmp_path / "cut", at, **validation)
        finally:
            signal.signal(signal.SIGINT, before)
    assert checkpoints_in(tmp_path / "cut") == ["epoch-000001", "epoch-000002"]
    resumed = make()
    found = train(resumed, images, tmp_path / "cut", **validation)
    assert found.history == expected.history
    assert_same_state(resumed, whole)


def test_sigterm_with_several_steps_per_execution(images, tmp_path):
    def make():
        return make_trainer(small_networks(2), steps_per_execution=2)

    whole = make()
    train(whole, images, tmp_path / "whole")
    at = At(
        "on_train_batch_begin", lambda: os.kill(os.getpid(), signal.SIGTERM)
    )
    with StopSignals() as signals, pytest.raises(Interrupted) as caught:
        with signals.deferred():
            train(make(), images, tmp_path / "cut", at, StopAtSignal(signals))
    assert caught.value.exit_code == 143
    # Both steps of the execution, of the four of an epoch.
    assert at.train_batches == 2
    assert checkpoints_in(tmp_path / "cut") == ["epoch-000001", "epoch-000002"]
    resumed = make()
    train(resumed, images, tmp_path / "cut")
    assert_same_state(resumed, whole)


def test_clock_that_went_back_does_not_hide_the_newest_checkpoint(
    images, tmp_path
):
    trainer = make_trainer([small_network()], distillation=None)
    train(trainer, images, tmp_path, epochs=2)
    newest = tmp_path / "epoch-000002"
    for path in (newest, *newest.iterdir()):
        os.utime(path, (0, 0))
    again = make_trainer([small_network(9)], distillation=None)
    assert keras_graft.RunCheckpoint(tmp_path).restore(again) == 2
    assert_same_state(again, trainer)
    # The next save removes the oldest by epoch, too.
    train(again, images, tmp_path, epochs=3)
    assert checkpoints_in(tmp_path) == ["epoch-000002", "epoch-000003"]
