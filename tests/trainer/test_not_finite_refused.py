"""What is not finite, or leaves float32, is refused before training."""

import keras
import numpy as np
import pytest
from flat_networks import data
from flat_networks import fit
from flat_networks import flat_dense
from flat_networks import trainer_of

import keras_graft


@pytest.mark.parametrize("temperature", [1e-40, 1e-20, 1e20, 1e39])
def test_a_temperature_that_leaves_float32_is_refused(temperature):
    with pytest.raises(ValueError, match="`temperature`.*float32"):
        keras_graft.MutualDistillation(temperature=temperature)


@pytest.mark.parametrize("weight", [1e-40, 1e39])
def test_a_weight_that_leaves_float32_is_refused(weight):
    with pytest.raises(ValueError, match="`weight`.*float32"):
        keras_graft.MutualDistillation(weight=weight)


def test_a_product_that_leaves_float32_is_refused():
    with pytest.raises(ValueError, match="`weight` times.*`temperature`"):
        keras_graft.MutualDistillation(temperature=1e10, weight=1e20)
    keras_graft.MutualDistillation(temperature=1e10, weight=1e10)
    keras_graft.MutualDistillation(temperature=1e-3, weight=0.0)


@pytest.mark.parametrize("method", ["fit", "train_on_batch"])
def test_a_teacher_that_is_not_finite_is_refused(method):
    x, y = data()
    teacher = flat_dense(7)
    teacher.layers[-1].bias.assign([0.0, np.inf, 0.0])
    term = keras_graft.TeacherDistillation(teacher)
    trainer = trainer_of([flat_dense(0)], distillation=term)
    with pytest.raises(ValueError, match=f"The teacher '{teacher.name}'.*bias"):
        getattr(trainer, method)(x, y)
    teacher.layers[-1].bias.assign([0.0, 0.0, 0.0])
    getattr(trainer, method)(x, y)


def test_a_teacher_that_broke_between_two_fits_is_refused():
    x, y = data()
    teacher = flat_dense(7)
    term = keras_graft.TeacherDistillation(teacher)
    trainer = trainer_of([flat_dense(0)], distillation=term)
    fit(trainer, x, y)
    teacher.layers[-1].bias.assign([0.0, np.nan, 0.0])
    with pytest.raises(ValueError, match="The teacher"):
        fit(trainer, x, y)


def test_a_schedule_that_begins_with_nan_is_refused():
    schedule = keras.optimizers.schedules.ExponentialDecay(np.nan, 1, 0.5)
    x, y = data()
    trainer = trainer_of(
        [flat_dense(0), flat_dense(1)],
        distillation=keras_graft.MutualDistillation(weight=schedule),
    )
    with pytest.raises(ValueError, match="`weight` is a schedule"):
        fit(trainer, x, y)
