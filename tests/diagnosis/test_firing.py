"""Filters whose channel is above zero nowhere in a batch."""

import gc

import keras
import numpy as np
import pytest

from keras_graft.diagnosis import diagnose

layers = keras.layers


def images_of(channels, examples=8, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(examples, 5, 5, channels)).astype("float32")


def rows(model, data):
    return {row.name: row for row in diagnose(model, data=data).layers}


def randomise(model, seed=0):
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        value = rng.normal(size=variable.shape)
        variable.assign(value**2 if "variance" in variable.name else value)


def batch_norm(x, layer):
    gamma, beta = np.array(layer.gamma), np.array(layer.beta)
    mean, variance = (
        np.array(layer.moving_mean),
        np.array(layer.moving_variance),
    )
    return (x - mean) / np.sqrt(variance + layer.epsilon) * gamma + beta


def never_above_zero(x):
    return int(sum(not (x[..., j] > 0).any() for j in range(x.shape[-1])))


def test_channels_are_read_after_batch_norm_and_activation():
    model = keras.Sequential(
        [
            keras.Input((5, 5, 3)),
            layers.Conv2D(32, 1, name="conv"),
            layers.BatchNormalization(),
            layers.ReLU(name="relu"),
        ]
    )
    randomise(model)
    model.layers[1].beta.assign(np.random.default_rng(1).normal(-4, 4, 32))
    x = images_of(3)
    y = x @ np.array(model.layers[0].kernel)[0, 0]
    y = batch_norm(y + np.array(model.layers[0].bias), model.layers[1])
    expected = never_above_zero(np.maximum(y, 0))
    assert 0 < expected < 32
    row = rows(model, x)["conv"]
    assert row.never_fire == expected
    assert row.fires_after == "relu"


def test_table_explains_the_column_and_totals_count_what_was_seen():
    model = keras.Sequential(
        [
            keras.Input((5, 5, 3)),
            layers.SeparableConv2D(4, 3, name="separable"),
            layers.Conv2D(2, 1, name="conv", use_bias=False),
        ]
    )
    model.layers[1].kernel.assign(np.zeros((1, 1, 4, 2)))
    diagnosis = diagnose(model, data=images_of(3, examples=5))
    assert diagnosis.layers[0].never_fire is None
    assert diagnosis.totals.watched == 6
    assert diagnosis.totals.never_fire >= 2
    text = " ".join(str(diagnosis).splitlines())
    assert "above zero at no position of any of the 5 examples" in text
    assert "Seen for 6 of 9 filters" in text


def test_one_example_late_in_a_large_batch_is_enough():
    model = keras.Sequential(
        [keras.Input((5, 5, 1)), layers.Conv2D(2, 1, use_bias=False)]
    )
    model.layers[0].kernel.assign([[[[1.0, -1.0]]]])
    data = np.full((100, 5, 5, 1), -1.0)
    assert diagnose(model, data=data).totals.never_fire == 1
    data[97, 4, 4] = 1.0
    assert diagnose(model, data=data).totals.never_fire == 0


def test_signal_that_is_taken_before_the_activation_counts_there():
    images = keras.Input((5, 5, 2))
    x = layers.Conv2D(2, 1, name="conv", use_bias=False)(images)
    norm = layers.BatchNormalization(name="norm")
    x = norm(x)
    model = keras.Model(images, layers.Add()([layers.ReLU()(x), x]))
    assert rows(model, images_of(2))["conv"].fires_after == "norm"


def test_signal_that_leaves_the_model_before_the_activation_counts_there():
    images = keras.Input((5, 5, 2))
    x = layers.Conv2D(2, 1, name="conv", use_bias=False)(images)
    model = keras.Model(images, [layers.ReLU(name="relu")(x), x])
    assert rows(model, images_of(2))["conv"].fires_after == "conv"


def test_activation_of_the_convolution_itself_counts():
    model = keras.Sequential(
        [
            keras.Input((5, 5, 2)),
            layers.Conv2D(3, 1, activation="sigmoid", name="conv"),
            layers.BatchNormalization(beta_initializer="zeros"),
        ]
    )
    model.layers[1].moving_mean.assign([1.0, 1.0, 1.0])
    row = rows(model, images_of(2))["conv"]
    assert row.never_fire == 0
    assert row.fires_after == "conv"


def test_every_kind_of_convolution_has_one_channel_per_filter():
    images = keras.Input((5, 5, 4))
    x = layers.DepthwiseConv2D(
        3, depth_multiplier=2, padding="same", name="depthwise"
    )(images)
    x = layers.Conv2D(6, 3, groups=2, padding="same", name="grouped")(x)
    x = layers.Conv2DTranspose(3, 2, name="transposed")(x)
    model = keras.Model(images, x)
    for layer in model.layers[1:]:
        layer.kernel.assign(np.zeros(layer.kernel.shape))
    model.get_layer("grouped").bias.assign([1, 0, 0, 1, 0, 0])
    found = rows(model, images_of(4))
    assert found["depthwise"].never_fire == 8
    assert found["grouped"].never_fire == 4
    assert found["transposed"].never_fire == 3


def test_shared_convolution_fires_if_it_fires_at_any_of_its_calls():
    first, second = keras.Input((5, 5, 1)), keras.Input((5, 5, 1))
    shared = layers.Conv2D(2, 1, use_bias=False, name="shared")
    model = keras.Model([first, second], [shared(first), shared(second)])
    shared.kernel.assign([[[[1.0, -1.0]]]])
    ones = np.ones((3, 5, 5, 1))
    assert rows(model, [ones, ones])["shared"].never_fire == 1
    assert rows(model, [ones, -ones])["shared"].never_fire == 0


def test_convolutions_in_nested_models_are_seen_with_their_true_input():
    inner_input = keras.Input((5, 5, 2))
    inner_output = layers.Conv2D(2, 1, use_bias=False, name="deep")(inner_input)
    inner = keras.Model(inner_input, layers.ReLU()(inner_output), name="inner")
    images = keras.Input((5, 5, 2))
    model = keras.Model(
        images, inner(layers.Rescaling(-1.0)(images)), name="outer"
    )
    inner.layers[1].kernel.assign([[[[1.0, 0.0], [0.0, -1.0]]]][0:1])
    positive = np.ones((3, 5, 5, 2))
    assert rows(model, positive)["inner/deep"].never_fire == 1
    mixed = positive * [1.0, -1.0]
    assert rows(model, mixed)["inner/deep"].never_fire == 2


def symbolic_tensors():
    """How many are alive: a layer keeps those of each symbolic call."""
    gc.collect()
    return sum(type(thing) is keras.KerasTensor for thing in gc.get_objects())


def test_diagnosis_leaves_the_model_as_it_was():
    model = keras.Sequential(
        [
            keras.Input((5, 5, 3)),
            layers.Conv2D(4, 1),
            layers.BatchNormalization(),
            layers.Dropout(0.5),
        ]
    )
    before = [np.array(variable) for variable in model.variables]
    tensors = symbolic_tensors()
    diagnose(model, data=images_of(3))
    after = [np.array(variable) for variable in model.variables]
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)
    assert symbolic_tensors() == tensors


def test_convolution_inside_a_custom_layer_is_not_seen():
    class Block(layers.Layer):
        def __init__(self):
            super().__init__(name="block")
            self.conv = layers.Conv2D(4, 3, name="hidden")

        def call(self, x):
            return self.conv(x)

    images = keras.Input((5, 5, 2))
    x = layers.Conv2D(2, 1, name="conv")(images)
    found = rows(keras.Model(images, Block()(x)), images_of(2))
    assert found["block/hidden"].never_fire is None
    assert found["conv"].never_fire is not None


def test_data_with_a_subclassed_model_is_refused():
    class Net(keras.Model):
        def __init__(self):
            super().__init__(name="net")
            self.conv = layers.Conv2D(4, 3)

        def call(self, x):
            return self.conv(x)

    model = Net()
    model(images_of(2))
    with pytest.raises(ValueError, match="'net' is a subclassed one"):
        diagnose(model, data=images_of(2))


@pytest.mark.parametrize(
    "data",
    [np.zeros((0, 5, 5, 1)), [], np.float32(1.0), iter([1, 2])],
    ids=["empty", "nothing", "scalar", "iterator"],
)
def test_data_that_is_no_batch_is_refused(data):
    model = keras.Sequential([keras.Input((5, 5, 1)), layers.Conv2D(2, 1)])
    with pytest.raises(ValueError, match="must be a batch of inputs"):
        diagnose(model, data=data)
