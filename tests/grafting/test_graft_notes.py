"""What `GraftCallback` refuses, and what it says."""

import logging

import graft_reference as reference
import keras
import pytest
from builders import conv_classifier
from keras import layers

from keras_graft.grafting import GraftCallback


def test_networks_of_different_architectures_are_refused():
    networks = [conv_classifier(4), conv_classifier(5)]
    with pytest.raises(ValueError) as error:
        reference.graft(GraftCallback(), networks)
    assert str(error.value).splitlines() == [
        "Only networks of one architecture can be grafted. These differ:",
        "  layer 0: network_0 has Conv2D 'conv' [(3, 3, 2, 4), (4,)], "
        "network_1 has Conv2D 'conv' [(3, 3, 2, 5), (5,)]",
        "  layer 1: network_0 has BatchNormalization 'bn' [(4,), (4,), (4,), "
        "(4,)], not trainable: [(4,), (4,)], network_1 has "
        "BatchNormalization 'bn' [(5,), (5,), (5,), (5,)], not trainable: "
        "[(5,), (5,)]",
        "  layer 2: network_0 has Dense 'classifier' [(4, 3), (3,)], "
        "network_1 has Dense 'classifier' [(5, 3), (3,)]",
    ]


@pytest.mark.parametrize("source", ["external", "internal", "noise"])
def test_nothing_to_graft_is_an_error(source):
    dense = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    with pytest.raises(ValueError, match="no convolution kernel to graft"):
        reference.graft(GraftCallback(source=source, strict=True), [dense])
    frozen = conv_classifier()
    frozen.trainable = False
    with pytest.raises(ValueError, match="Left out:\n  conv: it is frozen"):
        reference.graft(GraftCallback(source=source, strict=True), [frozen])
    unbuilt = keras.Sequential([layers.Conv2D(4, 3, name="conv")])
    with pytest.raises(ValueError, match="conv: it is not built"):
        reference.graft(GraftCallback(source=source, strict=True), [unbuilt])


def test_a_model_without_networks_is_refused():
    callback = GraftCallback()
    callback.set_model(conv_classifier(name="alone"))
    with pytest.raises(
        ValueError, match="a list `networks`.*GraftTrainer.*Sequential"
    ):
        callback.on_train_begin()


def test_what_is_skipped_is_said_once_by_name(caplog):
    networks = []
    for _ in range(2):
        k = conv_classifier()
        k.get_layer("conv").enable_lora(2)
        head = layers.Conv2D(2, 1, name="head")
        inputs = keras.Input((6, 6, 2))
        networks.append(keras.Model(inputs, head(k.layers[0](inputs))))
    callback = GraftCallback()
    with caplog.at_level(logging.WARNING):
        reference.graft(callback, networks)
        reference.graft(callback, networks)
    assert caplog.messages == [
        "Not grafted: 'conv', since its kernel is adapted by LoRA."
    ]
