"""Averages of one network's weights."""

import types

import keras
import numpy as np
import pytest

from keras_graft.compare.weight_averaging import HeldSchedule
from keras_graft.compare.weight_averaging import WeightAverage


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
