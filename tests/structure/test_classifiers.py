"""Where a network tells classes apart."""

import keras
import numpy as np
import pytest
from builders import small_network
from keras import layers

from keras_graft.structure.classifiers import backbone_weights
from keras_graft.structure.classifiers import classifier_of
from keras_graft.structure.classifiers import with_classifier

IMAGES = np.random.default_rng(0).uniform(0, 255, (4, 8, 8, 1))


def in_a_row(*last):
    return keras.Sequential(
        [keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(5), *last]
    )


@pytest.mark.parametrize(
    "network",
    [
        small_network(activation="softmax"),
        in_a_row(layers.Dense(4), layers.Softmax()),
        in_a_row(layers.Dense(4), layers.Activation("softmax")),
        in_a_row(layers.Dense(4, activation="softmax", use_bias=False)),
    ],
)
def test_softmax_at_the_end_is_left_out(network):
    logits = with_classifier(network, 4)
    np.testing.assert_allclose(
        keras.ops.softmax(logits(IMAGES)), network(IMAGES), rtol=1e-5
    )


def test_classifier_of_its_own_leaves_the_rest_alone():
    network = small_network()
    other = with_classifier(network, 7, "glorot_uniform")
    assert other.output_shape == (None, 7)
    shared = backbone_weights(network)
    assert [id(w) for w in backbone_weights(other)] == [id(w) for w in shared]
    assert len(shared) == len(network.weights) - 2


@pytest.mark.parametrize(
    "last",
    [
        (layers.Dense(4, activation="sigmoid"),),
        (layers.Dense(4), layers.Reshape((2, 2))),
        (layers.Reshape((5, 1)), layers.Dense(4)),
        (layers.ReLU(),),
    ],
)
def test_other_ends_are_no_classifier(last):
    network = in_a_row(*last)
    assert classifier_of(network) is None
    assert backbone_weights(network) == network.weights
