"""Weights of distillation terms that change with the steps."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_graft.distillation import DistillationInputs
from keras_graft.distillation import MutualDistillation
from keras_graft.distillation import TeacherDistillation

RAMP = keras.optimizers.schedules.PolynomialDecay(
    0.0, decay_steps=4, end_learning_rate=2.0
)


def logits_of(n):
    rng = np.random.default_rng(0)
    return [
        tf.constant(rng.normal(0, 3, (5, 4)), dtype="float32") for _ in range(n)
    ]


def losses(term, iterations, n=2):
    logits = logits_of(n)
    live = tf.ones([n])
    return term.losses(
        DistillationInputs([None] * n, logits, live, [None] * n, iterations)
    )


def teacher():
    inputs = keras.Input((2,))
    return keras.Model(inputs, keras.layers.Dense(4)(inputs))


def test_each_network_has_the_weight_of_its_own_steps():
    full = [float(loss) for loss in losses(MutualDistillation(), None, 3)]
    ramped = losses(MutualDistillation(weight=RAMP), [0, 1, 9], 3)
    np.testing.assert_allclose(
        [float(loss) for loss in ramped],
        [0.0 * full[0], 0.5 * full[1], 2.0 * full[2]],
        rtol=1e-6,
    )


def test_a_schedule_moves_in_a_compiled_step_without_retracing():
    term = MutualDistillation(weight=RAMP)
    steps = tf.Variable(0, dtype="int64")
    traces = []

    @tf.function
    def step():
        traces.append(1)
        loss = losses(term, [steps, steps])[0]
        steps.assign_add(1)
        return loss

    found = np.array([float(step()) for _ in range(6)])
    full = float(losses(MutualDistillation(), None)[0])
    np.testing.assert_allclose(
        found / full, [0.0, 0.5, 1.0, 1.5, 2.0, 2.0], rtol=1e-6
    )
    assert len(traces) == 1


def test_a_schedule_needs_the_steps():
    with pytest.raises(ValueError, match="a schedule needs `iterations`"):
        losses(MutualDistillation(weight=RAMP), None)


@pytest.mark.parametrize(
    "term",
    [
        MutualDistillation(weight=RAMP),
        TeacherDistillation(teacher(), weight=RAMP),
    ],
)
def test_a_schedule_survives_serialisation(term):
    loaded = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(term)
    )
    assert type(loaded) is type(term)
    assert type(loaded.weight) is type(RAMP)
    assert loaded.weight.get_config() == RAMP.get_config()


@pytest.mark.parametrize("weight", ["ramp", -1.0, None, lambda step: 1.0])
def test_what_is_neither_a_number_nor_a_schedule_is_refused(weight):
    with pytest.raises(ValueError, match="at least 0, or a keras.optimizers"):
        MutualDistillation(weight=weight)
