import keras
import numpy as np
import pytest
from builders import Subclassed
from builders import functional
from keras import layers

from keras_graft.structure.outputs import final_activation
from keras_graft.structure.outputs import final_activations
from keras_graft.structure.outputs import head_names


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


def test_heads_are_named_as_keras_names_them():
    image = keras.Input((4,))
    kind = layers.Dense(3, name="first")(image)
    side = layers.Dense(2, activation="sigmoid", name="second")(image)
    listed = keras.Model(image, [kind, side])
    assert head_names(listed, listed.outputs) == ["first", "second"]
    assert final_activations(listed) == ["linear", "sigmoid"]
    keyed = keras.Model(image, {"side": side, "kind": kind})
    outputs = keyed(np.zeros((1, 4)))
    # In the order of `keras.tree`, which sorts keys.
    assert head_names(keyed, outputs) == ["kind", "side"]
    assert final_activations(keyed) == ["linear", "sigmoid"]
    nested = {"a": {"x": 0, "y": 1}, "b": 2}
    assert head_names(keras.Model(), nested) == ["a/x", "a/y", "b"]
    assert head_names(Subclassed(), 0) == ["output"]
