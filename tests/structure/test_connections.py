import keras
import numpy as np
import pytest
from keras import layers

from keras_graft import models
from keras_graft.structure.connections import feeding_convolutions
from keras_graft.structure.conv_layers import is_convolution
from keras_graft.structure.conv_layers import leaf_layers


def conv(name, filters=4, size=3, **kwargs):
    return layers.Conv2D(filters, size, padding="same", name=name, **kwargs)


def norm(name):
    return layers.BatchNormalization(name=name)


def owners_by_name(network):
    """Path of each layer -> name of the convolution that feeds it."""
    owners, has_graph = feeding_convolutions(network)
    named = {
        path: owners[id(layer)] and owners[id(layer)].name
        for path, layer in leaf_layers(network)
        if id(layer) in owners
    }
    return named, has_graph


def test_in_a_chain_the_convolution_before_feeds_a_layer():
    network = keras.Sequential(
        [
            keras.Input((8, 8, 4)),
            norm("first"),
            conv("a"),
            norm("bn_a"),
            layers.ReLU(name="relu"),
            conv("b"),
            layers.GlobalAveragePooling2D(name="pool"),
            layers.Dense(3, name="classifier"),
        ]
    )
    owners, has_graph = owners_by_name(network)
    assert owners == {
        "first": None,
        "bn_a": "a",
        "relu": "a",
        "pool": "b",
        "classifier": "b",
    }
    assert has_graph


def residual_block(x, name, project):
    """Pre-activation order of creation: the shortcut is made last."""
    y = norm(f"{name}_bn1")(conv(f"{name}1")(x))
    y = norm(f"{name}_bn2")(conv(f"{name}2")(layers.ReLU()(y)))
    if project:
        x = norm(f"{name}_bn_s")(conv(f"{name}_s", size=1)(x))
    return layers.ReLU(name=f"{name}_out")(layers.Add()([x, y]))


def test_a_projection_shortcut_feeds_its_own_batch_norm():
    inputs = keras.Input((8, 8, 4))
    x = residual_block(conv("stem")(inputs), "p", project=True)
    owners, _ = owners_by_name(keras.Model(inputs, x))
    assert owners["p_bn1"] == "p1"
    assert owners["p_bn2"] == "p2"
    assert owners["p_bn_s"] == "p_s"


def test_behind_an_identity_shortcut_the_main_path_is_nearest():
    inputs = keras.Input((8, 8, 4))
    x = layers.ReLU()(norm("bn_stem")(conv("stem")(inputs)))
    x = residual_block(x, "i", project=False)
    x = residual_block(x, "j", project=False)
    x = layers.Dense(3, name="classifier")(norm("after")(x))
    owners, _ = owners_by_name(keras.Model(inputs, x))
    assert owners["i_out"] == "i2"
    assert owners["after"] == "j2"
    assert owners["classifier"] == "j2"


def test_of_two_equally_near_convolutions_the_last_in_layer_order_feeds():
    def network(first, second):
        inputs = keras.Input((8, 8, 4))
        branches = {name: conv(name)(inputs) for name in (first, second)}
        x = layers.Add()([branches["left"], branches["right"]])
        return keras.Model(inputs, norm("after")(x))

    for order in (("left", "right"), ("right", "left")):
        model = network(*order)
        names = [layer.name for layer in model.layers]
        last = max(("left", "right"), key=names.index)
        assert owners_by_name(model)[0]["after"] == last


def test_the_nearer_of_two_convolutions_feeds_whatever_the_order():
    inputs = keras.Input((8, 8, 4))
    near = conv("near")(inputs)
    far = layers.ReLU()(norm("bn_far")(conv("far")(inputs)))
    for pair in ([near, far], [far, near]):
        model = keras.Model(inputs, norm("after")(layers.Add()(pair)))
        assert owners_by_name(model)[0]["after"] == "near"


def test_operations_that_are_no_layers_are_passed_through():
    inputs = keras.Input((8, 8, 4))
    x = keras.ops.mean(keras.ops.relu(conv("a")(inputs)) * 2, axis=(1, 2))
    model = keras.Model(inputs, layers.Dense(3, name="classifier")(x))
    assert owners_by_name(model) == ({"classifier": "a"} | _inputs(model), True)


def _inputs(model):
    return {
        path: None
        for path, layer in leaf_layers(model)
        if isinstance(layer, layers.InputLayer)
    }


def test_nested_models_are_part_of_one_graph():
    inner_input = keras.Input((8, 8, 4))
    y = norm("inner_first")(inner_input)
    y = norm("inner_bn")(conv("inner_conv")(y))
    inner = keras.Model(inner_input, y, name="inner")
    innermost = keras.Sequential([inner], name="middle")
    inputs = keras.Input((8, 8, 4))
    x = norm("after")(innermost(conv("stem")(inputs)))
    network = keras.Model(inputs, x)
    owners, has_graph = owners_by_name(network)
    assert owners["middle/inner/inner_first"] == "stem"
    assert owners["middle/inner/inner_bn"] == "inner_conv"
    assert owners["after"] == "inner_conv"
    assert has_graph


def test_nested_models_of_several_inputs_and_outputs_connect_in_order():
    one, two = keras.Input((8, 8, 4)), keras.Input((8, 8, 4))
    inner = keras.Model(
        [one, two],
        [norm("on_one")(one), norm("on_two")(two)],
        name="inner",
    )
    inputs = keras.Input((8, 8, 4))
    first, second = inner([conv("a")(inputs), conv("b")(inputs)])
    network = keras.Model(
        inputs, [norm("after_one")(first), norm("after_two")(second)]
    )
    owners, _ = owners_by_name(network)
    assert owners["inner/on_one"] == "a"
    assert owners["inner/on_two"] == "b"
    assert owners["after_one"] == "a"
    assert owners["after_two"] == "b"


def test_only_the_calls_inside_the_network_count():
    inputs = keras.Input((8, 8, 4))
    shared = norm("shared")
    x = shared(conv("a")(inputs))
    shared(conv("outside")(inputs))
    assert owners_by_name(keras.Model(inputs, x))[0]["shared"] == "a"


class Block(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.before = norm("before")
        self.conv = conv("block_conv")
        self.norm = norm("norm")

    def build(self, input_shape):
        self.scale = self.add_weight(shape=(), name="scale")

    def call(self, x):
        return self.norm(self.conv(self.before(x))) * self.scale


def test_layers_inside_a_custom_layer_follow_the_order_of_creation():
    inputs = keras.Input((8, 8, 4))
    x = Block(name="block")(conv("stem")(inputs))
    network = keras.Model(inputs, norm("after")(x))
    owners, has_graph = owners_by_name(network)
    assert not has_graph
    assert owners["block/before"] == "stem"
    assert owners["block/norm"] == "block_conv"
    assert owners["block"] == "block_conv"
    assert owners["after"] == "block_conv"


def test_layers_without_weights_do_not_count_as_missing_graphs():
    network = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Pipeline([layers.RandomFlip(), layers.Rescaling(1 / 255)]),
            conv("a"),
        ]
    )
    assert owners_by_name(network)[1]


def test_a_subclassed_network_follows_the_order_of_creation():
    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.first = norm("first")
            self.a = conv("a")
            self.bn_a = norm("bn_a")
            self.b = conv("b")
            self.classifier = layers.Dense(3, name="classifier")

        def call(self, x):
            # Not the order of creation.
            return self.classifier(self.bn_a(self.b(self.a(self.first(x)))))

    network = Subclassed()
    network(np.zeros((1, 8, 8, 4), "float32"))
    assert owners_by_name(network) == (
        {"first": None, "bn_a": "a", "classifier": "b"},
        False,
    )


@pytest.mark.parametrize("name", ["resnet8", "mobilenetv2"])
def test_in_the_packages_networks_a_batch_norm_has_its_own_convolution(name):
    network = models.build(name, 4, input_shape=(16, 16, 3), width=0.25)
    owners, has_graph = feeding_convolutions(network)
    assert has_graph
    norms = 0
    for layer in network.layers:
        if isinstance(layer, layers.BatchNormalization):
            norms += 1
            # Each tensor of a functional model has one origin.
            assert owners[id(layer)].output is layer.input
    assert norms == sum(map(is_convolution, network.layers))
