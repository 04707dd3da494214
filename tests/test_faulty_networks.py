"""Odd networks, through training, grafts, checkpoints and saved files."""

import keras
import numpy as np
import pytest
from builders import make_trainer
from builders import small_network
from builders import small_networks
from builders import train_resumably
from comparisons import assert_same_state

import keras_graft


def test_networks_of_equal_names_are_kept_apart(images, tmp_path):
    def make(name):
        networks = small_networks(3)
        for k, network in enumerate(networks):
            network.name = name or f"net{k}"
        return make_trainer(networks)

    expected = make(None)
    history = train_resumably(expected, images, tmp_path / "other", epochs=2)
    trainer = make("net")
    train_resumably(trainer, images, tmp_path / "equal", epochs=1)
    trainer = make("net")
    equal = train_resumably(trainer, images, tmp_path / "equal", epochs=2)
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
        trainer.fit(
            *images,
            callbacks=[keras_graft.GraftCallback(strict=True)],
            verbose=0,
        )
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
