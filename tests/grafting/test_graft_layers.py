"""Every kind of layer and network, grafted and compared with NumPy."""

import graft_reference as reference
import keras
import pytest
from graft_reference import assert_block
from graft_reference import assert_kernels
from graft_reference import conv_governors
from graft_reference import dense_governors
from graft_reference import norm_governors
from graft_reference import separable_governors
from keras import layers

from keras_graft.grafting import GraftCallback

KINDS = {
    "Conv1D": ((8, 4), lambda: layers.Conv1D(6, 3, name="x")),
    "Conv2D": ((6, 6, 4), lambda: layers.Conv2D(6, 3, name="x")),
    "Conv3D": ((4, 4, 4, 4), lambda: layers.Conv3D(3, 3, name="x")),
    "grouped": ((6, 6, 4), lambda: layers.Conv2D(6, 3, groups=2, name="x")),
    "DepthwiseConv1D": (
        (8, 4),
        lambda: layers.DepthwiseConv1D(3, depth_multiplier=2, name="x"),
    ),
    "DepthwiseConv2D": (
        (6, 6, 4),
        lambda: layers.DepthwiseConv2D(3, depth_multiplier=2, name="x"),
    ),
    "SeparableConv1D": (
        (8, 4),
        lambda: layers.SeparableConv1D(6, 3, name="x"),
    ),
    "SeparableConv2D": (
        (6, 6, 4),
        lambda: layers.SeparableConv2D(6, 3, depth_multiplier=2, name="x"),
    ),
    "Conv2DTranspose": (
        (6, 6, 4),
        lambda: layers.Conv2DTranspose(6, 3, name="x"),
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_convolution_is_grafted(kind):
    shape, make_layer = KINDS[kind]

    def make():
        return keras.Sequential(
            [
                keras.Input(shape),
                make_layer(),
                layers.BatchNormalization(name="bn"),
                layers.Flatten(),
                layers.Dense(2, name="classifier"),
            ]
        )

    separable = kind.startswith("Separable")
    own = separable_governors("x") if separable else conv_governors("x")
    last = "x/pointwise_kernel" if separable else "x/kernel"
    governors = {
        **own,
        **norm_governors("bn", last),
        **dense_governors("classifier", last),
    }
    assert_block(make, governors)
    kernels = [path for path in own if not path.endswith("bias")]
    assert_kernels(make, governors, kernels)


def residual_network():
    def block(x, filters, name, project):
        y = conv(filters, f"{name}_1")(x)
        y = layers.ReLU()(norm(f"{name}_bn1")(y))
        y = norm(f"{name}_bn2")(conv(filters, f"{name}_2")(y))
        if project:
            x = norm(f"{name}_bns")(conv(filters, f"{name}_s", 1)(x))
        return layers.ReLU()(layers.Add()([x, y]))

    def conv(filters, name, size=3):
        return layers.Conv2D(
            filters, size, padding="same", use_bias=False, name=name
        )

    def norm(name):
        return layers.BatchNormalization(name=name)

    inputs = keras.Input((6, 6, 2))
    x = norm("bn_in")(inputs)
    x = layers.ReLU()(norm("bn_stem")(conv(3, "stem")(x)))
    x = block(x, 4, "p", project=True)
    x = norm("bn_mid")(x)
    x = block(x, 4, "i", project=False)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(2, name="classifier")(x))


def residual_governors():
    order = [layer.name for layer in residual_network().layers]
    # Both branches of the projection are as near to the Add.
    last = max(("p_2", "p_s"), key=order.index)
    return {
        **norm_governors("bn_in", None),
        "stem/kernel": "stem/kernel",
        **norm_governors("bn_stem", "stem/kernel"),
        "p_1/kernel": "p_1/kernel",
        **norm_governors("p_bn1", "p_1/kernel"),
        "p_2/kernel": "p_2/kernel",
        **norm_governors("p_bn2", "p_2/kernel"),
        "p_s/kernel": "p_s/kernel",
        **norm_governors("p_bns", "p_s/kernel"),
        **norm_governors("bn_mid", f"{last}/kernel"),
        "i_1/kernel": "i_1/kernel",
        **norm_governors("i_bn1", "i_1/kernel"),
        "i_2/kernel": "i_2/kernel",
        **norm_governors("i_bn2", "i_2/kernel"),
        **dense_governors("classifier", "i_2/kernel"),
    }


def test_in_a_residual_network_each_layer_follows_what_feeds_it():
    assert_block(residual_network, residual_governors())


def test_kernels_only_leaves_the_rest_of_a_residual_network_alone():
    governors = residual_governors()
    kernels = [path for path, kernel in governors.items() if path == kernel]
    assert len(kernels) == 6
    assert_kernels(residual_network, governors, kernels)


def test_the_layers_of_nested_models_are_grafted():
    def make():
        inner_input = keras.Input((6, 6, 3))
        y = layers.BatchNormalization(name="bn_first")(inner_input)
        y = layers.Conv2D(3, 3, padding="same", name="b")(y)
        y = layers.BatchNormalization(name="bn_b")(y)
        inner = keras.Model(inner_input, y, name="inner")
        outer = keras.Sequential(
            [
                keras.Input((6, 6, 3)),
                inner,
                layers.Conv2D(3, 3, padding="same", name="c"),
            ],
            name="outer",
        )
        inputs = keras.Input((6, 6, 3))
        x = outer(layers.Conv2D(3, 3, padding="same", name="a")(inputs))
        x = layers.BatchNormalization(name="bn_last")(x)
        return keras.Model(inputs, x)

    assert_block(
        make,
        {
            **conv_governors("a"),
            **norm_governors("bn_first", "a/kernel"),
            **conv_governors("b"),
            **norm_governors("bn_b", "b/kernel"),
            **conv_governors("c"),
            **norm_governors("bn_last", "c/kernel"),
        },
    )


def test_a_layer_shared_inside_a_network_is_grafted_once():
    def make():
        shared = layers.Conv2D(3, 3, padding="same", name="shared")
        bn = layers.BatchNormalization(name="bn")
        inner_input = keras.Input((6, 6, 3))
        inner = keras.Model(inner_input, bn(shared(inner_input)))
        inputs = keras.Input((6, 6, 3))
        x = bn(shared(inner(inner(inputs))))
        return keras.Model(inputs, x)

    # Grafted twice, network k would hold weights of network k - 2.
    assert_block(
        make,
        {**conv_governors("shared"), **norm_governors("bn", "shared/kernel")},
    )


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.scale = layers.BatchNormalization(name="bn_first")
        self.a = layers.Conv2D(3, 3, name="a")
        self.bn_a = layers.BatchNormalization(name="bn_a")
        self.b = layers.Conv2D(3, 3, name="b")
        self.classifier = layers.Dense(2, name="classifier")
        self.never_called = layers.Conv2D(3, 3, name="never_called")

    def build(self, input_shape):
        self.call(keras.KerasTensor(input_shape))
        self.built = True

    def call(self, x):
        return self.classifier(self.b(self.bn_a(self.a(self.scale(x)))))


def test_a_subclassed_network_follows_the_order_of_creation(caplog):
    def make():
        model = Subclassed()
        model.build((None, 6, 6, 3))
        return model

    assert_block(
        make,
        {
            **norm_governors("bn_first", None),
            **conv_governors("a"),
            **norm_governors("bn_a", "a/kernel"),
            **conv_governors("b"),
            **dense_governors("classifier", "b/kernel"),
        },
    )
    not_called, no_graph = caplog.messages
    assert not_called == (
        "Not grafted: 'never_called', since it is not built: nothing calls it."
    )
    assert "the convolution created before them" in no_graph


def test_networks_may_differ_in_layers_without_weights():
    def make(*augmentation):
        return keras.Sequential(
            [
                keras.Input((6, 6, 3)),
                *augmentation,
                layers.Conv2D(3, 3, name="a"),
                layers.Dropout(0.1 * len(augmentation)),
                layers.BatchNormalization(name="bn"),
            ]
        )

    networks = [
        make(),
        make(layers.RandomFlip()),
        make(layers.RandomFlip(), layers.GaussianNoise(0.1)),
    ]
    governors = {**conv_governors("a"), **norm_governors("bn", "a/kernel")}
    reference.assert_graft(networks, governors, GraftCallback())
