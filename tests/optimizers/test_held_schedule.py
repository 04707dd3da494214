"""A learning rate that follows a schedule and then stays."""

import keras
import numpy as np
import pytest

from keras_graft.optimizers import HeldSchedule


def test_rate_follows_the_schedule_and_then_stays():
    cosine = keras.optimizers.schedules.CosineDecay(0.1, 100)
    held = HeldSchedule(cosine, 75)
    assert float(held(30)) == pytest.approx(float(cosine(30)))
    assert float(held(75)) == pytest.approx(
        0.1 * (1 + np.cos(0.75 * np.pi)) / 2
    )
    assert float(held(99)) == float(held(75))
    assert HeldSchedule(0.3, 75)(99) == 0.3


@pytest.mark.parametrize(
    "schedule", [0.3, keras.optimizers.schedules.CosineDecay(0.1, 100)]
)
def test_held_schedule_is_saved_with_its_optimizer(schedule):
    optimizer = keras.optimizers.SGD(HeldSchedule(schedule, 75))
    config = keras.saving.serialize_keras_object(optimizer)
    loaded = keras.saving.deserialize_keras_object(config)
    for step in (10, 80):
        optimizer.iterations.assign(step)
        loaded.iterations.assign(step)
        assert float(loaded.learning_rate) == float(optimizer.learning_rate)
