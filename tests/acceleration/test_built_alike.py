import functools
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_graft import models
from keras_graft.acceleration.built_alike import built_alike

layers = keras.layers
SEEDS = itertools.count(1)


def block(x, filters, **keywords):
    pad = layers.ZeroPadding2D(1)(x)
    y = layers.Conv2D(filters, 3, use_bias=False, **keywords)(pad)
    y = layers.BatchNormalization()(y)
    return layers.ReLU()(y)


def network_with(**changes):
    """A network with what many have; `changes` are those of a test."""
    c = {
        "conv": {},
        "rate": 0.2,
        "shortcut": 0,
        "mean": 1.0,
        "head": "softmax",
        "merge": layers.Add,
        "inner": 4,
        "inner_shortcut": False,
    } | changes
    inputs = keras.Input((8, 8, 3))
    x = layers.Normalization(mean=c["mean"], variance=2.0)(inputs)
    first = block(x, 4, **c["conv"])
    second = block(first, 4)
    third = block(second, 4)
    x = c["merge"]()([third, [first, second][c["shortcut"]]])
    inside = keras.Input((8, 8, 4))
    y = layers.Conv2D(c["inner"], 1)(inside)
    z = layers.LeakyReLU()(y)
    z = layers.Concatenate()([z, inside if c["inner_shortcut"] else y])
    x = keras.Model(inside, z)(x)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(c["rate"])(x)
    outputs = layers.Dense(4, activation=c["head"])(x)
    return keras.Model(inputs, outputs)


def sequential(*seen):
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Rescaling(1 / 255),
            layers.SeparableConv2D(4, 3, depthwise_regularizer="l2"),
            *seen,
            layers.Flatten(),
            layers.Dense(4),
        ]
    )


def computed(model, x):
    """What a training step makes of images: outputs, losses, variables."""
    outputs = model(x, training=True)
    return [np.array(v) for v in [outputs, *model.losses, *model.variables]]


ALIKE = {
    "graph": network_with,
    "list": sequential,
    "initializers": lambda: network_with(
        conv={"kernel_initializer": keras.initializers.HeNormal(next(SEEDS))}
    ),
    "arrays as settings": lambda: sequential(
        layers.Rescaling(np.array([1.0, 2.0, 3.0, 4.0])),
        layers.Rescaling(tf.constant([1.0, 2.0, 3.0, 4.0])),
        layers.Normalization(mean=np.arange(4.0), variance=np.ones(4)),
    ),
    "seeds": lambda: sequential(layers.Dropout(0.5, seed=next(SEEDS))),
    **{
        name: lambda name=name: models.build(name, 10)
        for name in ("resnet20", "resnet8_leaky", "mobilenetv2", "vgg16")
    },
}


@pytest.mark.parametrize("case", ALIKE)
def test_what_is_built_alike_computes_the_same(case):
    networks = [ALIKE[case]() for _ in range(2)]
    assert built_alike(networks)
    one, other = networks
    for mine, theirs in zip(one.variables, other.variables, strict=True):
        theirs.assign(mine)
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 255, (2, *one.input_shape[1:])).astype("float32")
    for a, b in zip(computed(one, x), computed(other, x), strict=True):
        np.testing.assert_array_equal(a, b)


def test_all_of_several_must_be_alike():
    assert built_alike([network_with(), network_with(), network_with()])
    assert not built_alike(
        [network_with(), network_with(), network_with(rate=0.3)]
    )


@pytest.mark.parametrize(
    "change",
    [
        {"conv": {"kernel_regularizer": "l2"}},
        {"conv": {"activation": "relu"}},
        {"conv": {"activity_regularizer": "l2"}},
        {"conv": {"dtype": "mixed_bfloat16"}},
        {"rate": 0.3},
        {"shortcut": 1},
        {"mean": 2.0},
        {"head": None},
        {"merge": layers.Multiply},
        {"inner": 5},
        {"inner_shortcut": True},
    ],
    ids=str,
)
def test_what_was_built_otherwise_is_not_alike(change):
    assert not built_alike([network_with(), network_with(**change)])


def adapted(model):
    numbers = layers.Normalization()
    numbers.adapt(np.random.default_rng().normal(size=(9, 3)))
    return keras.Sequential([keras.Input((8, 8, 3)), numbers, model])


def double(x):
    return 2.0 * x


class Doubling(layers.ReLU):
    def call(self, x):
        return 2.0 * super().call(x)


class Network(keras.Sequential):
    def call(self, x, training=None):
        return 2.0 * super().call(x, training=training)


@keras.saving.register_keras_serializable("test_architectures")
class Sum(keras.regularizers.Regularizer):
    def __call__(self, x):
        return keras.ops.sum(x)


def inner(model):
    [found] = [n for n in model.layers if isinstance(n, keras.Model)]
    return found


def freeze_bias(model):
    model.layers[-1].bias.trainable = False


def freeze_layer(model):
    model.layers[-1].trainable = False


def regularise(model):
    model.layers[-1].kernel.regularizer = keras.regularizers.L2(0.1)


def regularise_by_other(model):
    model.layers[-1].kernel.regularizer = Sum()


def other_rate(model):
    model.layers[-2].rate = 0.9


def other_call(model):
    layer = model.layers[-1]
    vars(layer)["call"] = lambda x, training=None: (
        3.0 * type(layer).call(layer, x)
    )


def other_call_of_all(model):
    stock = model.call
    vars(model)["call"] = lambda x, **keywords: 3.0 * stock(x, **keywords)


def other_call_inside(model):
    other_call_of_all(inner(model))


def other_activation(model):
    model.layers[-1].activation = double


def other_casting(model):
    model.layers[-1].autocast = False


def other_slope(model):
    inner(model).layers[-2].negative_slope = 0.9


def other_mean(model):
    model.layers[1].mean = tf.constant([[[[9.0, 9.0, 9.0]]]])


def mean_of_a_graph(model):
    with tf.Graph().as_default():
        model.layers[1].mean = tf.zeros([1, 1, 1, 3])


@pytest.mark.parametrize(
    "change",
    [
        freeze_bias,
        freeze_layer,
        regularise,
        regularise_by_other,
        other_rate,
        other_call,
        other_call_inside,
        other_call_of_all,
        other_activation,
        other_casting,
        other_slope,
        other_mean,
        mean_of_a_graph,
    ],
)
def test_what_was_changed_later_is_not_alike(change):
    one, other = network_with(), network_with()
    assert built_alike([one, other])
    change(other)
    assert not built_alike([one, other])


UNKNOWN = {
    "a custom layer": lambda: sequential(Doubling()),
    "a custom model": lambda: Network([keras.Input((8, 8, 3)), layers.ReLU()]),
    "a function as layer": lambda: sequential(layers.Lambda(double)),
    "a function as activation": lambda: network_with(head=double),
    "a method as activation": lambda: network_with(
        head=layers.LeakyReLU(next(SEEDS) / 9).call
    ),
    "a traced function as activation": lambda: network_with(
        head=tf.function(double)
    ),
    "a partial function as activation": lambda: network_with(
        head=functools.partial(keras.activations.elu, alpha=next(SEEDS))
    ),
    "a layer in a layer": lambda: sequential(
        layers.SpectralNormalization(layers.Conv2D(4, 3, name="inside"))
    ),
    "a regularizer of one's own": lambda: network_with(
        conv={"kernel_regularizer": Sum()}
    ),
    "an operation": lambda: keras.Model(
        (x := keras.Input((8, 8, 3))), layers.Flatten()(x + x)
    ),
    "adapted numbers": lambda: adapted(sequential()),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_what_is_not_known_is_not_alike(case):
    assert not built_alike([UNKNOWN[case](), UNKNOWN[case]()])
