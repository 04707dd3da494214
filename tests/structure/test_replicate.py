import keras
import numpy as np
import pytest

import keras_graft
from keras_graft import replicate


@keras.saving.register_keras_serializable(package="test_replicate")
class Subclassed(keras.Model):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.dense = keras.layers.Dense(units)

    def call(self, x):
        return self.dense(x)

    def get_config(self):
        return {**super().get_config(), "units": self.units}


class WithoutConfig(keras.Model):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def call(self, x):
        return self.layer(x)


class Unregistered(keras.layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, shape):
        self.kernel = self.add_weight(
            shape=(shape[-1], self.units), initializer="glorot_uniform"
        )

    def call(self, x):
        return x @ self.kernel

    def get_config(self):
        return {**super().get_config(), "units": self.units}


def sequential():
    # Seeds of one's own, which copies of a config would share.
    start = keras.initializers.GlorotUniform(seed=3)
    return keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            keras.layers.Conv2D(3, 3, kernel_initializer=start),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.5, seed=1),
            keras.layers.Flatten(),
            Unregistered(4),
        ]
    )


def nested():
    inputs = keras.Input((6, 6, 1))
    x = sequential()(inputs)
    return keras.Model(inputs, keras.layers.Dense(2)(x))


def subclassed():
    model = Subclassed(3)
    model(np.zeros((1, 6, 6, 1)))
    return model


def kernels(model):
    return [w for w in model.get_weights() if w.ndim > 1 and w.any()]


@pytest.mark.parametrize("make", [sequential, nested, subclassed])
def test_replicas_start_apart_and_the_same_seed_gives_the_same(make):
    model = make()
    before = model.get_weights()
    first, second = replicate(model, 2, seed=0)
    again = replicate(model, 2, seed=0)[0]
    other = replicate(model, 1, seed=1)[0]
    assert [w.shape for w in first.get_weights()] == [w.shape for w in before]
    for a, b in [(first, second), (first, other), (first, model)]:
        assert all(
            (x != y).any() for x, y in zip(kernels(a), kernels(b), strict=True)
        )
    for a, b in zip(first.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)
    keras_graft.GraftTrainer([model, first, second, again])


@pytest.mark.parametrize("make", [sequential, nested, subclassed])
def test_copies_have_the_weights_and_random_layers_of_their_own(make):
    model = make()
    copies = replicate(model, 2, weights="copy")
    x = np.random.default_rng(0).normal(size=(4, 6, 6, 1))
    for copy in copies:
        np.testing.assert_array_equal(
            copy.predict(x, verbose=0), model.predict(x, verbose=0)
        )
    if make is sequential:
        drawn = [copy(x, training=True).numpy() for copy in copies]
        assert (drawn[0] != drawn[1]).any()


def test_what_is_not_trained_is_copied():
    scale = keras.layers.Normalization()
    scale.adapt(np.arange(12.0).reshape(6, 2))
    base = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    base.trainable = False
    model = keras.Sequential(
        [keras.Input((2,)), scale, base, keras.layers.Dense(1)]
    )
    replica = replicate(model, 1)[0]
    np.testing.assert_array_equal(
        replica.layers[1].get_weights()[0], base.get_weights()[0]
    )
    x = np.ones((1, 2))
    np.testing.assert_array_equal(replica.layers[0](x), scale(x))
    assert len(replica.trainable_variables) == 2
    assert (replica.layers[2].kernel != model.layers[2].kernel).numpy().any()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((None, 2), "model.*None"),
        ((..., 0), "`n`.*at least 1.*0"),
        ((..., 2.0), "`n`.*2.0"),
        ((..., 2, -1), "`seed`.*-1"),
        ((..., 2, 0, "same"), "`weights`.*same"),
    ],
)
def test_wrong_arguments_are_named(arguments, words):
    model, *rest = arguments
    with pytest.raises(ValueError, match=words):
        replicate(subclassed() if model is ... else model, *rest)


def test_what_has_no_config_is_named_with_the_way_out():
    model = WithoutConfig(keras.layers.Dense(2))
    with pytest.raises(ValueError, match="(?s)WithoutConfig.*one by one"):
        replicate(model, 2)
    with pytest.raises(ValueError, match="call it on a batch"):
        replicate(Subclassed(2), 2, weights="copy")


def test_a_frozen_base_can_be_made_trainable_again():
    base = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dense(2)]
    )
    base.trainable = False
    model = keras.Sequential([keras.Input((4,)), base, keras.layers.Dense(2)])
    (replica,) = replicate(model, 1)
    assert len(replica.trainable_variables) == 2
    for layer in replica.layers:
        layer.trainable = True
    assert len(replica.trainable_variables) == 6
    # The original is left alone.
    assert len(model.trainable_variables) == 2
