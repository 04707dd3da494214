"""Networks of one's own, named by `--model`."""

import sys
import types

import keras
import numpy as np
import pytest
from builders import small_network
from builders import small_networks
from keras import layers
from launching import launch_here

from keras_graft import models
from keras_graft.runs import networks
from keras_graft.runs.exit_codes import RunError
from keras_graft.structure.classifiers import with_classifier

SHAPE = (8, 8, 1)


@pytest.fixture
def module(monkeypatch):
    """A module `mine`, to be filled with functions."""
    made = types.ModuleType("mine")
    monkeypatch.setitem(sys.modules, "mine", made)
    return made


def saved(network, tmp_path):
    path = tmp_path / "own.keras"
    network.save(path)
    return str(path)


def build(model, classes=4, shape=SHAPE, seeds=(1, 2)):
    return networks.build(model, classes, shape, seeds)


def weights_of(network):
    return [np.asarray(value) for value in network.get_weights()]


def kernels(network):
    return np.asarray(network.get_layer("conv").kernel)


def test_saved_model_is_an_architecture(tmp_path):
    own = small_network(activation="softmax")
    own.trainable = False
    first, second = build(saved(own, tmp_path))
    again = build(saved(own, tmp_path))
    for network in (first, second):
        assert network.layers[-1].activation is keras.activations.linear
        assert len(network.trainable_weights) == 5
        assert [w.shape for w in network.weights] == [
            w.shape for w in own.weights
        ]
    assert np.abs(kernels(first) - kernels(second)).max() > 0.1
    for one, other in zip([first, second], again, strict=True):
        for a, b in zip(weights_of(one), weights_of(other), strict=True):
            np.testing.assert_array_equal(a, b)


def test_function_makes_networks_that_follow_the_seed(module):
    def build_one(num_classes, input_shape):
        return keras.Sequential(
            [
                keras.Input(input_shape),
                layers.Conv2D(3, 3, name="conv"),
                layers.BatchNormalization(),
                layers.GlobalAveragePooling2D(),
                layers.Dropout(0.5),
                layers.Dense(num_classes, activation="softmax"),
            ]
        )

    module.build = build_one
    first, second = build("mine:build")
    again, _ = build("mine:build")
    assert np.abs(kernels(first) - kernels(second)).max() > 0.1
    np.testing.assert_array_equal(kernels(first), kernels(again))
    assert first.layers[2].synchronized


def test_size_that_was_left_open_is_that_of_the_images(tmp_path):
    inputs = keras.Input((None, None, 1))
    statistics = layers.Normalization(axis=-1)
    statistics.adapt(np.array([[[[3.0], [5.0]]]]))
    x = layers.Conv2D(3, 3)(statistics(inputs))
    x = layers.GlobalAveragePooling2D()(x)
    own = keras.Model(inputs, layers.Dense(4)(x))
    (network,) = build(saved(own, tmp_path), seeds=[0])
    assert network.input_shape == (None, *SHAPE)
    own.set_weights(network.get_weights())
    images = np.random.default_rng(0).uniform(0, 9, (2, *SHAPE))
    np.testing.assert_allclose(network(images), own(images), rtol=1e-5)


class Hidden(keras.Model):
    """Ends in a way that no graph shows."""

    def __init__(self, classes, activation=None):
        super().__init__()
        self.flatten = layers.Flatten()
        self.dense = layers.Dense(classes, activation=activation)

    def call(self, x):
        return self.dense(self.flatten(x))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: keras.Sequential([keras.Input(SHAPE), layers.Conv2D(3, 3)]),
            r"no classifier: its output has shape \(any, 6, 6, 3\)",
        ),
        (
            lambda: keras.Sequential(
                [keras.Input(SHAPE), layers.Flatten(), layers.Dense(3)]
            ),
            "tells 3 classes apart, and the images have 4",
        ),
        (
            lambda: models.build("resnet8", 4, (16, 16, 1), width=0.2),
            r"shape \(16, 16, 1\), and .* \(8, 8, 1\).* --image_size=16 ",
        ),
        (
            lambda: keras.Sequential([keras.Input((64,)), layers.Dense(4)]),
            r"takes images of shape \(64\)",
        ),
        (lambda: Hidden(3), "tells 3 classes apart"),
        (lambda: Hidden(4, "softmax"), "gives probabilities"),
        (lambda: "a network", "returned str, and it must return a Keras"),
        (lambda: 1 / 0, "ZeroDivisionError: division by zero"),
    ],
)
def test_what_is_no_network_for_the_images_is_refused(module, make, message):
    module.build = lambda num_classes, input_shape: make()
    with pytest.raises(RunError, match=message):
        build("mine:build")


def test_class_with_a_hidden_end_may_give_logits(module):
    module.build = lambda num_classes, input_shape: Hidden(num_classes)
    for network in build("mine:build"):
        assert network(np.ones((2, *SHAPE))).shape == (2, 4)


def test_precision_that_a_file_does_not_have_is_refused(tmp_path, monkeypatch):
    path = saved(small_network(), tmp_path)
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        with pytest.raises(RunError, match="computes in float32.*=bfloat16"):
            build(path)
    finally:
        keras.config.set_dtype_policy("float32")


def test_file_that_is_none_of_keras_is_refused(tmp_path):
    path = tmp_path / "text.keras"
    path.write_text("no archive")
    with pytest.raises(RunError, match="cannot be loaded as a Keras model"):
        build(str(path))


def test_application_for_images_that_are_too_small_is_refused():
    message = r"images of shape \(8, 8, 3\): Input size must be at least 32x32"
    with pytest.raises(RunError, match=message):
        build("applications:MobileNetV2", shape=(8, 8, 3))


def test_model_of_ones_own_is_trained_from_the_command(tmp_path):
    own = small_networks(1)[0]
    own = with_classifier(own, 10, "glorot_uniform")
    path = saved(own, tmp_path)
    arguments = (
        f"--model={path}",
        "--num_networks=2",
        "--train_examples=256",
        "--epochs=1",
        f"--workdir={tmp_path / 'run'}",
    )
    assert launch_here(*arguments) == (0, "")
    shipped = keras.models.load_model(tmp_path / "run" / "shipped.keras")
    assert shipped.output_shape == (None, 10)
    assert str(tmp_path) not in (tmp_path / "run" / "card.md").read_text()
