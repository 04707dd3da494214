import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_graft.structure.variable_values import set_value
from keras_graft.structure.variable_values import value_of

VALUES = np.array([[1.5, -2.0, 3.25]], "float32")


def variable(dtype="float32"):
    return keras.Variable(np.zeros((1, 3)), dtype=dtype, name="weight")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_value_comes_back_in_the_variables_dtype(dtype):
    weight = variable(dtype)
    set_value(weight, VALUES)
    assert value_of(weight).dtype.name == dtype
    np.testing.assert_array_equal(value_of(weight).astype("float32"), VALUES)
    np.testing.assert_array_equal(
        keras.ops.convert_to_numpy(weight).astype("float32"), VALUES
    )


def test_value_read_before_does_not_change():
    weight = variable()
    before = value_of(weight)
    set_value(weight, VALUES)
    np.testing.assert_array_equal(before, np.zeros((1, 3)))


def test_every_replica_gets_the_value(two_replicas):
    with two_replicas.scope():
        weight = variable()
    set_value(weight, VALUES)
    np.testing.assert_array_equal(value_of(weight), VALUES)
    for copy in two_replicas.experimental_local_results(weight.value):
        np.testing.assert_array_equal(copy, VALUES)


def test_value_of_another_shape_is_refused():
    weight = variable()
    with pytest.raises(tf.errors.InvalidArgumentError):
        set_value(weight, np.ones((2, 3), "float32"))
    np.testing.assert_array_equal(value_of(weight), np.zeros((1, 3)))
