import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from builders import Subclassed
from builders import functional
from keras import layers

from keras_graft.trainer.labels import check_from_logits
from keras_graft.trainer.labels import check_labels
from keras_graft.trainer.labels import label_kind
from keras_graft.trainer.labels import label_range_message
from keras_graft.trainer.labels import uses_logits

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
