"""Networks without a convolution that is trained, with a `GraftCallback`."""

import keras
import numpy as np
import pytest
from builders import batches
from builders import conv_classifier
from builders import make_trainer

import keras_graft

LAYERS = keras.layers


def frozen_base():
    base = conv_classifier()
    base.trainable = False
    return keras.Sequential(
        [keras.Input((6, 6, 2)), base, LAYERS.Dense(3, name="head")]
    )


def perceptron():
    return keras.Sequential(
        [keras.Input((6, 6, 2)), LAYERS.Flatten(), LAYERS.Dense(3)]
    )


def recurrent():
    return keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            LAYERS.Reshape((6, 12)),
            LAYERS.LSTM(4),
            LAYERS.Dense(3),
        ]
    )


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(32, 6, 6, 2)).astype("float32")
    return x, np.arange(32) % 3


@pytest.mark.parametrize(
    "make, source",
    [
        (frozen_base, "external"),
        (perceptron, "internal"),
        pytest.param(recurrent, "noise", marks=pytest.mark.slow),
        pytest.param(frozen_base, "exchange", marks=pytest.mark.slow),
    ],
)
def test_it_is_said_once_and_training_goes_on(data, caplog, make, source):
    trainer = make_trainer([make(), make()])
    before = trainer.get_weights()
    graft = keras_graft.GraftCallback(source)
    history = trainer.fit(
        batches(data), epochs=3, callbacks=[graft], verbose=0
    ).history
    assert caplog.text.count("no convolution kernel to graft") == 1
    assert history["graft_coefficient"] == [1.0] * 3
    assert any(
        (a != b).any()
        for a, b in zip(before, trainer.get_weights(), strict=True)
    )
    strict = keras_graft.GraftCallback(source, strict=True)
    with pytest.raises(ValueError, match="no convolution kernel to graft"):
        trainer.fit(batches(data), callbacks=[strict], verbose=0)


def test_grafts_begin_when_something_is_trainable(data):
    networks = [frozen_base(), frozen_base()]
    trainer = make_trainer(networks, distillation=None)
    graft = keras_graft.GraftCallback(start=0)
    trainer.fit(batches(data), callbacks=[graft], verbose=0)
    assert graft.coefficients == {}
    for network in networks:
        network.trainable = True
        network.layers[0].trainable = True
    trainer.compile("sgd", trainer.loss)
    trainer.fit(batches(data), callbacks=[graft], verbose=0)
    assert len(graft.coefficients) == 1


def test_strict_survives_a_config():
    graft = keras_graft.GraftCallback(strict=True)
    again = keras_graft.GraftCallback.from_config(graft.get_config())
    assert again.get_config()["strict"] is True
