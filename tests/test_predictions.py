import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_graft.predictions import as_logits
from keras_graft.predictions import as_probabilities
from keras_graft.predictions import check_from_logits
from keras_graft.predictions import check_labels
from keras_graft.predictions import final_activation
from keras_graft.predictions import label_kind
from keras_graft.predictions import label_range_message
from keras_graft.predictions import uses_logits


def functional(*last):
    inputs = keras.Input((4,))
    x = layers.Dense(5, activation="relu")(inputs)
    for layer in last:
        x = layer(x)
    return keras.Model(inputs, x)


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.classifier = layers.Dense(3, activation="softmax")

    def call(self, x):
        return self.classifier(x)


# What ends a network.


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


# What a loss takes.


@pytest.mark.parametrize(
    "loss, kind",
    [
        ("sparse_categorical_crossentropy", "sparse"),
        ("categorical_crossentropy", "one-hot"),
        ("binary_crossentropy", "binary"),
        ("mse", None),
        (keras.losses.sparse_categorical_crossentropy, "sparse"),
        (keras.losses.SparseCategoricalCrossentropy(), "sparse"),
        (keras.losses.CategoricalCrossentropy(), "one-hot"),
        (keras.losses.CategoricalFocalCrossentropy(), "one-hot"),
        (keras.losses.BinaryCrossentropy(), "binary"),
        (keras.losses.BinaryFocalCrossentropy(), "binary"),
        (keras.losses.MeanSquaredError(), None),
    ],
)
def test_label_kind_is_read_off_the_loss(loss, kind):
    assert label_kind(loss) == kind


def test_only_a_loss_object_can_take_logits():
    assert uses_logits(
        keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    assert not uses_logits(keras.losses.SparseCategoricalCrossentropy())
    assert not uses_logits("sparse_categorical_crossentropy")
    assert not uses_logits(keras.losses.MeanSquaredError())


@pytest.mark.parametrize(
    "loss",
    [
        keras.losses.SparseCategoricalCrossentropy,
        keras.losses.CategoricalCrossentropy,
    ],
)
def test_a_softmax_with_from_logits_is_refused(loss):
    network = functional(layers.Dense(3, activation="softmax"))
    with pytest.raises(
        ValueError,
        match="network_1 ends in a softmax.*squashed twice.*from_logits=False",
    ):
        check_from_logits(network, loss(from_logits=True), "network_1")
    check_from_logits(network, loss(from_logits=False), "network_1")


@pytest.mark.parametrize(
    "loss",
    [
        "sparse_categorical_crossentropy",
        keras.losses.categorical_crossentropy,
        keras.losses.SparseCategoricalCrossentropy(),
    ],
)
def test_logits_with_a_loss_of_probabilities_are_refused(loss):
    network = functional(layers.Dense(3))
    with pytest.raises(
        ValueError,
        match="network_0 ends in a linear layer.*from_logits=True.*softmax",
    ):
        check_from_logits(network, loss, "network_0")


def test_binary_networks_are_told_about_the_sigmoid():
    linear = functional(layers.Dense(1))
    with pytest.raises(ValueError, match="end the network in a sigmoid"):
        check_from_logits(linear, "binary_crossentropy", "network_0")
    sigmoid = functional(layers.Dense(1, activation="sigmoid"))
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    with pytest.raises(ValueError, match="ends in a sigmoid"):
        check_from_logits(sigmoid, loss, "network_0")


def test_what_cannot_be_judged_is_let_through():
    logits = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    check_from_logits(Subclassed(), logits, "network_0")
    check_from_logits(functional(layers.Dense(3)), "mse", "network_0")
    check_from_logits(functional(layers.Dense(3)), logits, "network_0")


# Logits and probabilities.


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


# Labels.

SPARSE = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
ONE_HOT = keras.losses.CategoricalCrossentropy(from_logits=True)


def test_labels_that_fit_are_accepted():
    check_labels(np.array([0, 3, 1]), 4, SPARSE)
    check_labels(np.array([[0], [3]]), 4, SPARSE)
    check_labels(np.zeros((0,), int), 4, SPARSE)
    check_labels(np.eye(4), 4, ONE_HOT)
    check_labels(tf.TensorSpec((None,), "int64"), 4, SPARSE)
    check_labels(tf.TensorSpec((None, None), "int64"), 4, SPARSE)
    check_labels(np.array([7.5]), 1, "mse")


@pytest.mark.parametrize("labels", [[0, 4], [-1, 0]])
def test_a_label_out_of_range_is_refused(labels):
    with pytest.raises(
        ValueError,
        match="within 0 and 3: the networks have 4 output units. Received "
        f"labels from {min(labels)} to {max(labels)}",
    ):
        check_labels(np.array(labels), 4, SPARSE)
    assert "within 0 and 3" in label_range_message(4, 0, 9)


def test_one_hot_labels_for_a_sparse_loss_are_refused():
    with pytest.raises(
        ValueError,
        match=r"integer labels of shape \(batch,\).*\(2, 4\).*"
        "CategoricalCrossentropy",
    ):
        check_labels(np.eye(4)[:2], 4, SPARSE)


@pytest.mark.parametrize("shape", [(5,), (5, 3)])
def test_labels_that_are_not_one_hot_over_the_units_are_refused(shape):
    with pytest.raises(
        ValueError, match=r"one-hot labels of shape \(batch, 4\).*to_categoric"
    ):
        check_labels(np.zeros(shape), 4, ONE_HOT)


def test_from_logits_bound_by_partial_is_seen():
    bound = functools.partial(
        keras.losses.sparse_categorical_crossentropy, from_logits=True
    )
    assert uses_logits(bound)
    assert label_kind(bound) == "sparse"
    assert not uses_logits(bound.func)
