import numpy as np
import pytest
import tensorflow as tf

from keras_graft.acceleration.same_computation import same_computation

ONE = tf.TensorSpec([3, 2])


def traced(function, *specs):
    return tf.function(function, autograph=False).get_concrete_function(
        *(specs or (ONE, ONE))
    )


def first_minus_second(a, b):
    return a - 2.0 * b


def test_names_do_not_make_another_computation():
    def named(x, y):
        with tf.name_scope("elsewhere"):
            product = tf.multiply(2.0, y, name="twice")
        return tf.subtract(x, product, name="difference")

    assert same_computation(traced(first_minus_second), traced(named))


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(lambda a, b: a - 3.0 * b, id="constant"),
        pytest.param(lambda a, b: b - 2.0 * a, id="wiring"),
        pytest.param(lambda a, b: a + 2.0 * b, id="operation"),
        pytest.param(lambda a, b: 2.0 * b, id="output"),
        pytest.param(lambda a, b: (a - 2.0 * b, a), id="outputs"),
    ],
)
def test_what_changes_a_result_makes_another_computation(other):
    assert not same_computation(traced(first_minus_second), traced(other))


@pytest.mark.parametrize(
    "spec", [tf.TensorSpec([None, 2]), tf.TensorSpec([3, 2], tf.float64)]
)
def test_inputs_of_other_shapes_or_types_make_another_computation(spec):
    def double(x):
        return x + x

    assert same_computation(traced(double, ONE), traced(double, ONE))
    assert not same_computation(traced(double, ONE), traced(double, spec))


def test_settings_of_an_operation_count():
    def summed(axis):
        return traced(lambda a, b: tf.reduce_sum(a + b, axis, keepdims=True))

    assert same_computation(summed(0), summed(0))
    assert not same_computation(summed(0), summed(1))


def test_large_constants_are_compared_by_value():
    def plus(value):
        constant = tf.constant(value)
        return traced(lambda x: x + constant, tf.TensorSpec([1000]))

    ones = np.ones(1000, "float32")
    assert plus(ones).captured_inputs, "TensorFlow copied it into the graph"
    assert same_computation(plus(ones), plus(ones))
    ones_and_a_two = ones.copy()
    ones_and_a_two[7] = 2.0
    assert not same_computation(plus(ones), plus(ones_and_a_two))


def test_variables_beside_the_inputs_cannot_be_compared():
    def plus_own(variable):
        return traced(lambda x: x + variable, ONE)

    one, other = tf.Variable(1.0), tf.Variable(1.0)
    assert not same_computation(plus_own(one), plus_own(other))


def test_branches_cannot_be_compared():
    def positive(x):
        return tf.cond(tf.reduce_sum(x) > 0, lambda: x, lambda: -x)

    assert not same_computation(traced(positive, ONE), traced(positive, ONE))
