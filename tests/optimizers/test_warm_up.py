"""A learning rate that rises to another schedule's."""

import keras
import pytest

from keras_graft.optimizers import WarmUp

STEPS = keras.optimizers.schedules.PiecewiseConstantDecay([50], [1.0, 0.1])


def test_it_rises_linearly_and_then_follows():
    rates = [float(WarmUp(STEPS, 10, 0.1)(s)) for s in (0, 5, 10, 30, 60)]
    assert rates == pytest.approx([0.1, 0.55, 1.0, 1.0, 0.1])
    assert float(WarmUp(0.2, 4, 0.0)(1)) == pytest.approx(0.05)


@pytest.mark.parametrize("schedule", [0.3, STEPS])
def test_it_is_saved_with_its_optimizer(schedule):
    optimizer = keras.optimizers.SGD(WarmUp(schedule, 20, 0.2))
    loaded = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(optimizer)
    )
    for step in (3, 80):
        optimizer.iterations.assign(step)
        loaded.iterations.assign(step)
        assert float(loaded.learning_rate) == float(optimizer.learning_rate)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.1, 0), "`steps` must be a number above 0"),
        ((0.1, 5, 2.0), r"`start` must be in \[0, 1\]"),
        (("cosine", 5), "learning rate or a Keras schedule"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        WarmUp(*arguments)
