import keras
import numpy as np
import pytest
import tensorflow as tf
from builders import Subclassed
from builders import functional
from keras import layers

from keras_graft.structure.outputs import as_logits
from keras_graft.structure.outputs import as_probabilities
from keras_graft.structure.outputs import final_activation


@pytest.mark.parametrize("name", ["linear", "softmax", "sigmoid", "relu"])
def test_final_activation_is_seen_in_functional_and_sequential(name):
    dense = layers.Dense(3, activation=name)
    assert final_activation(functional(dense)) == name
    unbuilt = keras.Sequential([layers.Dense(3, activation=name)])
    assert final_activation(unbuilt) == name
    built = keras.Sequential(
        [keras.Input((4,)), layers.Dense(3), layers.Activation(name)]
    )
    assert final_activation(built) == name


def test_final_activation_is_seen_in_nested_models():
    head = keras.Sequential(
        [keras.Input((5,)), layers.Dense(3, activation="softmax")]
    )
    assert final_activation(functional(head)) == "softmax"
    inner = functional(layers.Dense(3), layers.Softmax())
    outer = keras.Sequential([keras.Input((4,)), inner])
    assert final_activation(outer) == "softmax"


def test_a_layer_that_only_sets_the_dtype_does_not_hide_a_softmax():
    cast = layers.Activation("linear", dtype="float32")
    softmax = layers.Dense(3, activation="softmax")
    assert final_activation(functional(softmax, cast)) == "softmax"
    cast = layers.Activation("linear", dtype="float32")
    assert final_activation(functional(layers.Dense(3), cast)) == "linear"


def test_the_last_layer_of_a_functional_network_is_the_one_that_outputs():
    # The softmax is created last, but a branch that is no output.
    inputs = keras.Input((4,))
    logits = layers.Dense(3)(inputs)
    layers.Softmax()(logits)
    assert final_activation(keras.Model(inputs, logits)) == "linear"


def test_final_activation_of_a_network_that_does_not_tell_is_none():
    assert final_activation(Subclassed()) is None
    assert final_activation(keras.Sequential()) is None
    pooled = keras.Sequential(
        [keras.Input((4, 4, 1)), layers.GlobalAveragePooling2D()]
    )
    assert final_activation(pooled) is None


def test_an_activation_that_is_a_function_or_a_layer_is_no_surprise():
    custom = functional(layers.Dense(3, activation=lambda x: x * 2))
    assert final_activation(custom) not in ("linear", "softmax", "sigmoid")
    softmax = functional(layers.Dense(3, activation=layers.Softmax()))
    assert final_activation(softmax) == "softmax"
    leaky = functional(layers.Dense(3, activation=layers.LeakyReLU()))
    assert final_activation(leaky) is None


def test_logits_and_probabilities_turn_into_each_other():
    logits = tf.constant([[1.0, -2.0, 0.5], [30.0, 0.0, -30.0]])
    probabilities = as_probabilities(logits, from_logits=True)
    np.testing.assert_allclose(probabilities, tf.nn.softmax(logits))
    back = tf.nn.softmax(as_logits(probabilities, from_logits=False))
    np.testing.assert_allclose(back, probabilities, atol=2e-7)
    assert np.isfinite(as_logits(tf.constant([[1.0, 0.0]]), False)).all()
    np.testing.assert_array_equal(as_logits(logits, True), logits)
    np.testing.assert_array_equal(as_probabilities(logits, False), logits)


def test_one_unit_is_a_sigmoid_and_half_precision_becomes_float32():
    one = as_probabilities(tf.constant([[0.0], [2.0]]), from_logits=True)
    np.testing.assert_allclose(one, [[0.5], [1 / (1 + np.exp(-2))]], rtol=1e-6)
    half = tf.constant([[1.0, 2.0]], "float16")
    assert as_logits(half, True).dtype == "float32"
    assert as_probabilities(half, True).dtype == "float32"
