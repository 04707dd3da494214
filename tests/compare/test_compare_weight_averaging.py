"""Averages of weights, and BatchNormalization estimated anew."""

import types

import keras
import numpy as np
import pytest

from keras_graft.compare.weight_averaging import HeldSchedule
from keras_graft.compare.weight_averaging import WeightAverage
from keras_graft.compare.weight_averaging import reestimate_batch_norm


def test_rate_follows_the_schedule_and_then_stays():
    cosine = keras.optimizers.schedules.CosineDecay(0.1, 100)
    held = HeldSchedule(cosine, 75)
    assert float(held(30)) == pytest.approx(float(cosine(30)))
    assert float(held(75)) == pytest.approx(
        0.1 * (1 + np.cos(0.75 * np.pi)) / 2
    )
    assert float(held(99)) == float(held(75))
    assert HeldSchedule(0.3, 75)(99) == 0.3


def test_average_is_the_mean_of_the_last_epochs(small_network):
    network = small_network()
    average = WeightAverage(start=1)
    average.set_model(types.SimpleNamespace(networks=[network]))
    start = network.get_weights()
    for epoch, offset in enumerate((100.0, 1.0, 4.0)):
        network.set_weights([w + np.float32(offset) for w in start])
        average.on_epoch_end(epoch)
    average.apply()
    for before, after in zip(start, network.get_weights(), strict=True):
        np.testing.assert_allclose(after, before + 2.5, rtol=1e-6)


def test_batch_norm_gets_the_means_of_its_batches(small_network, images):
    network = small_network()
    x, _ = images
    batches = [x[:32], x[32:]]
    inputs = keras.Model(network.inputs[0], network.get_layer("conv").output)
    weights = network.get_layer("conv").get_weights()
    reestimate_batch_norm(network, batches)
    layer = network.get_layer("bn")
    outputs = [np.asarray(inputs(batch)) for batch in batches]
    mean = np.mean([o.mean(axis=(0, 1, 2)) for o in outputs], axis=0)
    variance = np.mean([o.var(axis=(0, 1, 2)) for o in outputs], axis=0)
    np.testing.assert_allclose(layer.moving_mean, mean, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, variance, rtol=1e-3)
    assert layer.momentum == 0.99
    for a, b in zip(weights, network.get_layer("conv").get_weights()):
        np.testing.assert_array_equal(a, b)
