"""The BatchNormalization that a convolution feeds, and its gammas."""

import keras
import numpy as np

from keras_graft import models
from keras_graft.diagnosis import diagnose

layers = keras.layers


def near_zero(model):
    return {row.name: row.near_zero_gammas for row in diagnose(model).layers}


def set_gamma(layer, values):
    layer.gamma.assign(np.asarray(values, dtype="float32"))


def test_gammas_below_a_hundredth_in_size_are_counted():
    conv, norm = layers.Conv2D(5, 3, name="conv"), layers.BatchNormalization()
    model = keras.Sequential([keras.Input((9, 9, 2)), conv, norm])
    set_gamma(norm, [0.0, -0.0099, 0.01, -1.0, np.nan])
    assert near_zero(model) == {"conv": 3}


def test_convolution_without_batch_norm_has_no_count():
    images = keras.Input((9, 9, 2))
    plain = layers.Conv2D(4, 3, name="plain")(images)
    scaled = layers.Conv2D(4, 3, name="scaled")(plain)
    scaled = layers.BatchNormalization(scale=False)(scaled)
    activated = layers.Conv2D(4, 3, activation="relu", name="activated")
    out = layers.BatchNormalization()(activated(scaled))
    model = keras.Model(images, out)
    assert near_zero(model) == {
        "plain": None,
        "scaled": None,
        "activated": None,
    }


def test_batch_norm_behind_a_sum_is_not_that_of_a_convolution():
    images = keras.Input((9, 9, 4))
    x = layers.Conv2D(4, 3, padding="same", name="conv")(images)
    x = layers.BatchNormalization()(layers.Add()([x, images]))
    assert near_zero(keras.Model(images, x)) == {"conv": None}


def test_batch_norm_over_another_axis_has_no_gamma_for_a_filter():
    model = keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            layers.Conv2D(4, 3, name="conv"),
            layers.BatchNormalization(axis=1),
        ]
    )
    assert near_zero(model) == {"conv": None}


def test_every_convolution_of_a_residual_network_has_its_own():
    network = models.build("resnet8", num_classes=3)
    for i, layer in enumerate(network.layers):
        if isinstance(layer, layers.BatchNormalization):
            gamma = np.ones(layer.gamma.shape)
            gamma[: i % 7] = 0.0
            set_gamma(layer, gamma)
    zeros = {
        layer.name.removesuffix("_bn"): int(np.sum(np.array(layer.gamma) == 0))
        for layer in network.layers
        if isinstance(layer, layers.BatchNormalization)
    }
    assert near_zero(network) == zeros
    assert diagnose(network).totals.gammas == 16 * 3 + 32 * 2 + 64 * 2


def test_batch_norm_in_a_nested_model_is_found():
    norm = layers.BatchNormalization()
    inner = keras.Sequential(
        [keras.Input((9, 9, 4)), layers.Conv2D(5, 3, name="conv"), norm],
        name="inner",
    )
    images = keras.Input((9, 9, 4))
    model = keras.Model(images, inner(images))
    set_gamma(norm, [0, 0, 1, 1, 1])
    assert near_zero(model) == {"inner/conv": 2}


def test_order_of_creation_stands_in_where_there_is_no_graph():
    class Block(layers.Layer):
        def __init__(self):
            super().__init__(name="block")
            self.conv1 = layers.Conv2D(4, 3, name="conv1")
            self.norm1 = layers.BatchNormalization(name="norm1")
            self.conv2 = layers.Conv2D(4, 3, name="conv2")
            self.conv3 = layers.Conv2D(4, 3, name="conv3")
            self.norm3 = layers.BatchNormalization(name="norm3")

        def call(self, x):
            x = self.conv2(self.norm1(self.conv1(x)))
            return self.norm3(self.conv3(x))

    block = Block()
    images = keras.Input((9, 9, 2))
    first = layers.Conv2D(2, 1, name="first")(images)
    model = keras.Model(images, block(first))
    set_gamma(block.norm1, [0, 1, 1, 1])
    set_gamma(block.norm3, [0, 0, 0, 1])
    assert near_zero(model) == {
        "first": None,
        "block/conv1": 1,
        "block/conv2": None,
        "block/conv3": 3,
    }


def test_only_the_output_kernel_of_a_separable_convolution_has_gammas():
    norm = layers.BatchNormalization()
    model = keras.Sequential(
        [keras.Input((9, 9, 3)), layers.SeparableConv2D(3, 3, name="s"), norm]
    )
    set_gamma(norm, [0, 1, 1])
    assert near_zero(model) == {
        "s/depthwise_kernel": None,
        "s/pointwise_kernel": 1,
    }
