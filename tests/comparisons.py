"""Weights of models and states of trainers, read and compared."""

import numpy as np

from keras_graft.checkpoint.training_state import read_arrays


def weights_of(model):
    return [variable.numpy() for variable in model.weights]


def assert_same(left, right):
    for a, b in zip(left, right, strict=True):
        np.testing.assert_array_equal(a, b)


def assert_near(found, expected):
    """Up to the rounding of the largest value."""
    largest = max(np.max(np.abs(values)) for values in expected)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * largest)


def assert_same_state(left, right):
    """Two trainers would go on alike, to the bit."""
    left, right = read_arrays(left), read_arrays(right)
    assert left.keys() == right.keys()
    for name in left:
        np.testing.assert_array_equal(left[name], right[name], err_msg=name)
