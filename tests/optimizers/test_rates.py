"""`NetworkOptimizers`: N optimizers read and written as one."""

import keras
import numpy as np
import pytest

from keras_graft.grafting import ring_learning_rates
from keras_graft.optimizers.network_optimizers import NetworkOptimizers

SGD = keras.optimizers.SGD
RING = ring_learning_rates(0.1, 3)


def of(*rates):
    return NetworkOptimizers([SGD(rate) for rate in rates])


def rates_of(optimizer):
    return [float(o.learning_rate) for o in optimizer.optimizers]


@pytest.mark.parametrize("rates", [(0.1,), (0.1, 0.1), RING, RING[::-1]])
def test_the_largest_is_read_and_all_are_written_in_proportion(rates):
    optimizer = of(*rates)
    assert float(optimizer.learning_rate) == pytest.approx(0.1)
    optimizer.learning_rate = 0.01
    assert rates_of(optimizer) == pytest.approx([r / 10 for r in rates])
    optimizer.learning_rate.assign(optimizer.learning_rate * 2)
    assert rates_of(optimizer) == pytest.approx([r / 5 for r in rates])
    optimizer.learning_rate.assign_sub(0.01)
    assert rates_of(optimizer) == pytest.approx([r / 10 for r in rates])
    assert float(keras.ops.convert_to_numpy(optimizer.learning_rate)) == (
        pytest.approx(0.01)
    )


def test_a_ring_survives_a_rate_of_0():
    optimizer = of(*RING)
    for rate in (0.0, 0.1):
        optimizer.learning_rate = rate
    assert rates_of(optimizer) == pytest.approx(RING)


def test_rounding_adds_up_to_nothing():
    optimizer, resumed = of(*RING), of(*RING)
    for k in range(1000):
        optimizer.learning_rate = 0.1 / (k + 1)
    # A resumed run has the rates of the last write, and not the way there.
    for mine, theirs in zip(
        resumed.optimizers, optimizer.optimizers, strict=True
    ):
        mine.learning_rate = float(theirs.learning_rate)
    for each in (optimizer, resumed):
        each.learning_rate = 0.07
    assert rates_of(optimizer) == rates_of(resumed)
    assert rates_of(optimizer) == pytest.approx([r * 0.7 for r in RING])


def test_a_rate_set_for_one_network_is_kept_in_proportion():
    optimizer = of(0.1, 0.1)
    optimizer.optimizers[1].learning_rate = 0.05
    optimizer.learning_rate = 0.2
    assert rates_of(optimizer) == pytest.approx([0.2, 0.1])


def test_schedules_are_read_and_written_as_in_keras():
    schedule = keras.optimizers.schedules.ExponentialDecay(0.5, 1, 0.5)
    scheduled = NetworkOptimizers([SGD(schedule), SGD(0.1)])
    assert float(scheduled.learning_rate) == 0.5
    with pytest.raises(TypeError, match="LearningRateSchedule"):
        scheduled.learning_rate = 0.1
    assert float(scheduled.optimizers[1].learning_rate) == (pytest.approx(0.1))
    equal = of(0.1, 0.1)
    equal.learning_rate = schedule
    assert rates_of(equal) == [0.5, 0.5]
    with pytest.raises(ValueError, match="rates that differ"):
        of(*RING).learning_rate = schedule


def test_rates_in_wrappers_are_rates():
    inner = keras.optimizers.OptimizerMap(SGD(0.1), {".*bias": SGD(0.2)})
    optimizer = NetworkOptimizers(
        [
            keras.optimizers.LossScaleOptimizer(SGD(0.4)),
            keras.optimizers.MultiOptimizer(inner),
        ]
    )
    assert float(optimizer.learning_rate) == pytest.approx(0.4)
    optimizer.learning_rate = 0.2
    members = optimizer.optimizers[1].optimizers
    assert sorted(float(o.learning_rate) for o in members) == pytest.approx(
        [0.05, 0.1]
    )


def test_it_tells_its_config_and_its_steps():
    optimizer = of(0.1, 0.2)
    assert optimizer.get_config()["learning_rate"] == pytest.approx(0.2)
    assert of(0.1).get_config() == {
        **SGD(0.1).get_config(),
        "name": "network_0",
    }
    variable = keras.Variable(np.ones(2))
    optimizer.optimizers[1].apply([np.ones(2)], [variable])
    assert int(optimizer.iterations) == 1
