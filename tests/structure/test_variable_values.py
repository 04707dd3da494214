import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_graft.structure.variable_values import STACK_SIZE
from keras_graft.structure.variable_values import VariableStack
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


def random_stack(number=STACK_SIZE, dtype="float32"):
    values = np.random.default_rng(0).integers(-9, 9, (number, 2, 3)) / 2
    variables = [keras.Variable(value, dtype=dtype) for value in values]
    return VariableStack(variables), values


@pytest.mark.parametrize("number", [1, 3, STACK_SIZE])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_stack_is_read_and_written_in_order(number, dtype):
    stack, values = random_stack(number, dtype)
    before = stack.read()
    assert before.dtype.name == dtype
    np.testing.assert_array_equal(before.astype("float64"), values)
    stack.write((3 * values).astype("float32"))
    for variable, value in zip(stack.variables, values, strict=True):
        assert variable.dtype == dtype
        np.testing.assert_array_equal(
            value_of(variable).astype("float64"), 3 * value
        )
    np.testing.assert_array_equal(before.astype("float64"), values)


@pytest.mark.parametrize("number", [1, STACK_SIZE])
def test_stack_read_before_does_not_change(number):
    stack, values = random_stack(number)
    stack.write(values.astype("float32"))
    before = stack.read()
    for variable in stack.variables:
        variable.assign_add(np.ones((2, 3), "float32"))
    np.testing.assert_array_equal(before, values)
    np.testing.assert_array_equal(stack.read(), values + 1)


def test_stacks_of_other_shapes_are_read_after_one_another():
    for shape in [(2, 3), (4,), ()]:
        variables = [
            keras.Variable(np.full(shape, i, "float32"))
            for i in range(STACK_SIZE)
        ]
        stack = VariableStack(variables)
        stack.write(stack.read() * 2)
        assert [float(np.max(v)) for v in stack.read()] == [
            2.0 * i for i in range(STACK_SIZE)
        ]


@pytest.mark.parametrize("number", [1, STACK_SIZE])
def test_stack_refuses_values_of_another_shape(number):
    stack, values = random_stack(number)
    with pytest.raises(tf.errors.InvalidArgumentError):
        stack.write(np.ones((number, 3, 2), "float32"))
    np.testing.assert_array_equal(stack.read(), values)


def test_every_replica_gets_the_values_of_a_stack(two_replicas):
    with two_replicas.scope():
        stack, values = random_stack()
    np.testing.assert_array_equal(stack.read(), values)
    stack.write(values + 1)
    for variable, value in zip(stack.variables, values, strict=True):
        for copy in two_replicas.experimental_local_results(variable.value):
            np.testing.assert_array_equal(copy, value + 1)


def test_stacks_outlive_a_cleared_session():
    stack, values = random_stack()
    keras.utils.clear_session()
    stack.write(stack.read() + 1)
    np.testing.assert_array_equal(stack.read(), values + 1)
