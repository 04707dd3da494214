"""Every kind of layer and network, grafted and compared with NumPy."""

import types

import graft_reference as reference
import keras
import numpy as np
import pytest
from graft_reference import UNTOUCHED
from keras import layers

from keras_graft.grafting import GraftCallback

N = 3


def assert_block(make, governors):
    reference.assert_graft(
        [make() for _ in range(N)], governors, GraftCallback()
    )


def assert_kernels(make, governors, kernels):
    """The same with blend="kernels": all else stays as it is."""
    only = {path: path if path in kernels else UNTOUCHED for path in governors}
    callback = GraftCallback(blend="kernels")
    reference.assert_graft([make() for _ in range(N)], only, callback)


def norm_governors(path, kernel):
    names = ("gamma", "beta", "moving_mean", "moving_variance")
    return {f"{path}/{name}": kernel for name in names}


def dense_governors(path, kernel):
    return {f"{path}/kernel": kernel, f"{path}/bias": kernel}


def conv_governors(path):
    return {f"{path}/{name}": f"{path}/kernel" for name in ("kernel", "bias")}


def separable_governors(path):
    depthwise = f"{path}/depthwise_kernel"
    pointwise = f"{path}/pointwise_kernel"
    return {
        depthwise: depthwise,
        pointwise: pointwise,
        # Its last kernel governs the rest.
        f"{path}/bias": pointwise,
    }


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


def test_frozen_layers_are_not_touched(caplog):
    def make():
        frozen = keras.Sequential(
            [
                keras.Input((6, 6, 3)),
                layers.Conv2D(3, 3, name="inner"),
                layers.BatchNormalization(name="inner_bn"),
            ],
            name="frozen",
        )
        frozen.trainable = False
        return keras.Sequential(
            [
                keras.Input((6, 6, 3)),
                layers.Conv2D(3, 3, padding="same", name="a"),
                layers.BatchNormalization(name="bn_a", trainable=False),
                frozen,
                layers.BatchNormalization(name="bn_after"),
                layers.Conv2D(3, 3, padding="same", name="b"),
                layers.Dense(2, name="classifier", trainable=False),
            ]
        )

    assert_block(
        make,
        {
            **conv_governors("a"),
            **norm_governors("bn_a", UNTOUCHED),
            "inner/kernel": UNTOUCHED,
            "inner/bias": UNTOUCHED,
            **norm_governors("inner_bn", UNTOUCHED),
            # What feeds it is frozen and has no coefficient.
            **norm_governors("bn_after", None),
            **conv_governors("b"),
            **dense_governors("classifier", UNTOUCHED),
        },
    )
    assert caplog.messages == [
        "Not grafted: 'frozen/inner', since it is frozen."
    ]


class Block(layers.Layer):
    """Owns a weight besides its sublayers, one of which is frozen."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.conv = layers.Conv2D(3, 1, name="conv")
        self.frozen = layers.Dense(3, name="frozen", trainable=False)

    def build(self, input_shape):
        self.scale = self.add_weight(shape=(3,), name="scale")
        self.conv.build(input_shape)
        self.frozen.build(input_shape)

    def call(self, x):
        return self.frozen(self.conv(x)) * self.scale


def test_a_layers_own_weights_do_not_drag_its_frozen_sublayers_along():
    def make():
        return keras.Sequential(
            [
                keras.Input((6, 6, 3)),
                layers.Conv2D(3, 1, name="stem"),
                Block(name="block"),
            ]
        )

    def inside(path, names=("kernel", "bias")):
        return [f"{path}/{name}" for name in names]

    assert_block(
        make,
        {
            **conv_governors("stem"),
            **dict.fromkeys(inside("conv"), "conv/kernel"),
            **dict.fromkeys(inside("frozen"), UNTOUCHED),
            "block/scale": "conv/kernel",
        },
    )


def test_nothing_of_an_adapted_or_quantised_convolution_is_touched(caplog):
    class Quantised(layers.Conv2D):
        # Keras 3.15 cannot quantise a convolution; this is what one that
        # could would show.
        quantization_mode = "int8"

        def build(self, input_shape):
            self.kernel_scale = self.add_weight(
                shape=(3,), name="kernel_scale", trainable=False
            )
            super().build(input_shape)

    def make():
        network = keras.Sequential(
            [
                keras.Input((6, 6, 3)),
                layers.Conv2D(3, 3, name="adapted"),
                layers.BatchNormalization(name="bn"),
                Quantised(3, 3, name="quantised"),
                layers.Conv2D(3, 1, name="free"),
            ]
        )
        network.layers[0].enable_lora(2)
        return network

    untouched = [
        *(
            f"adapted/{name}"
            for name in ("kernel", "bias", "lora_kernel_a", "lora_kernel_b")
        ),
        *(f"quantised/{name}" for name in ("kernel", "bias", "kernel_scale")),
    ]
    assert_block(
        make,
        {
            **dict.fromkeys(untouched, UNTOUCHED),
            **norm_governors("bn", None),
            **conv_governors("free"),
        },
    )
    assert caplog.messages == [
        "Not grafted: 'adapted', since its kernel is adapted by LoRA.",
        "Not grafted: 'quantised', since its kernel is quantised.",
    ]


def test_a_kernel_frozen_beside_a_free_one_is_not_touched():
    def make():
        network = keras.Sequential(
            [keras.Input((6, 6, 3)), layers.SeparableConv2D(3, 3, name="x")]
        )
        network.layers[0].depthwise_kernel.trainable = False
        return network

    governors = separable_governors("x")
    governors["x/depthwise_kernel"] = UNTOUCHED
    assert_block(make, governors)


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


def test_constraints_hold_after_a_graft():
    def make():
        return keras.Sequential(
            [
                keras.Input((6, 6, 3)),
                layers.Conv2D(
                    4,
                    3,
                    kernel_constraint=keras.constraints.UnitNorm([0, 1, 2]),
                    name="a",
                ),
                layers.Dense(2, bias_constraint="non_neg", name="classifier"),
            ]
        )

    networks = [make() for _ in range(2)]
    reference.randomise(networks)
    before = [reference.values(network) for network in networks]
    governors = {
        **conv_governors("a"),
        **dense_governors("classifier", "a/kernel"),
    }
    expected = reference.grafted(before, governors)
    reference.graft(GraftCallback(), networks)
    for network, blend in zip(networks, expected, strict=True):
        after = reference.values(network)
        norms = np.sqrt((blend["a/kernel"] ** 2).sum((0, 1, 2)))
        assert np.all(np.abs(norms - 1) > 0.01)
        np.testing.assert_allclose(
            after["a/kernel"], blend["a/kernel"] / norms, rtol=1e-4
        )
        assert np.any(blend["classifier/bias"] < 0)
        np.testing.assert_allclose(
            after["classifier/bias"],
            np.maximum(blend["classifier/bias"], 0),
            rtol=1e-5,
        )


@pytest.mark.parametrize(
    "dtype, precision",
    [("float16", 1e-3), ("bfloat16", 1e-2), ("float64", 1e-12)],
)
def test_weights_of_any_precision_are_blended_in_it(dtype, precision):
    networks = [
        keras.Sequential(
            [keras.Input((6, 6, 3)), layers.Conv2D(3, 3, dtype=dtype, name="a")]
        )
        for _ in range(2)
    ]
    reference.randomise(networks)
    before = [
        {path: value.astype("float64") for path, value in values.items()}
        for values in map(reference.values, networks)
    ]
    reference.graft(GraftCallback(), networks)
    expected = reference.grafted(before, conv_governors("a"))
    for k, network in enumerate(networks):
        for path, after in reference.values(network).items():
            assert str(after.dtype) == dtype
            np.testing.assert_allclose(
                after.astype("float64"),
                expected[k][path],
                rtol=precision,
                atol=precision,
            )


def test_numbers_that_count_are_not_blended():
    class Counter(layers.Layer):
        def build(self, input_shape):
            self.count = self.add_weight(
                shape=(), name="count", dtype="int32", trainable=False
            )

        def call(self, x):
            return x

    def make():
        return keras.Sequential(
            [
                keras.Input((6, 6, 3)),
                layers.Conv2D(3, 3, name="a"),
                Counter(name="counter"),
            ]
        )

    networks = [make() for _ in range(2)]
    for k, network in enumerate(networks):
        network.layers[-1].count.assign(k)
    assert_block_on = {**conv_governors("a"), "counter/count": UNTOUCHED}
    reference.assert_graft(networks, assert_block_on, GraftCallback())
    assert int(networks[1].layers[-1].count) == 1


@pytest.mark.parametrize("criterion", ["entropy", "l1"])
def test_many_layers_of_one_shape_are_each_grafted_alone(criterion):
    depth = 6

    def make():
        network = [keras.Input((4, 4, 3))]
        for i in range(depth):
            constraint = "non_neg" if i == 5 else None
            network += [
                layers.Conv2D(3, 1, name=f"c{i}", bias_constraint=constraint),
                layers.BatchNormalization(name=f"bn{i}"),
            ]
        return keras.Sequential(network)

    networks = [make() for _ in range(N)]
    reference.randomise(networks)
    before = [reference.values(network) for network in networks]
    governors = {}
    for i in range(depth):
        governors |= conv_governors(f"c{i}")
        governors |= norm_governors(f"bn{i}", f"c{i}/kernel")
    slope, information = 10.0, reference.entropy
    if criterion == "l1":
        slope, information = 0.1, reference.l1
    settings = {"slope": slope, "information": information}
    expected = reference.grafted(before, governors, **settings)
    callback = GraftCallback(criterion=criterion, slope=slope)
    reference.graft(callback, networks)
    assert list(callback.coefficients) == [f"c{i}" for i in range(depth)]
    for network, blend in zip(networks, expected, strict=True):
        assert np.any(blend["c5/bias"] < 0)
        blend["c5/bias"] = np.maximum(blend["c5/bias"], 0)
        for path, after in reference.values(network).items():
            np.testing.assert_allclose(
                after, blend[path], rtol=1e-5, atol=1e-6, err_msg=path
            )


def test_layers_frozen_or_freed_between_two_grafts_are_noticed():
    def make():
        return keras.Sequential(
            [
                keras.Input((6, 6, 3)),
                layers.Conv2D(3, 3, padding="same", name="a"),
                layers.BatchNormalization(name="bn", trainable=False),
                layers.Conv2D(3, 3, padding="same", name="b"),
            ]
        )

    networks = [make() for _ in range(N)]
    callback = GraftCallback()
    every = set(reference.values(networks[0]))
    of_bn = {path for path in every if path.startswith("bn/")}
    assert changed_by_a_graft(callback, networks) == every - of_bn
    for network in networks:
        network.get_layer("bn").trainable = True
    assert changed_by_a_graft(callback, networks, begin=False) == every
    for network in networks:
        network.get_layer("b").bias.trainable = False
    assert changed_by_a_graft(callback, networks, begin=False) == (
        every - {"b/bias"}
    )
    for network in networks:
        network.get_layer("a").trainable = False
    assert changed_by_a_graft(callback, networks, begin=False) == {
        *of_bn,
        "b/kernel",
    }


def changed_by_a_graft(callback, networks, begin=True):
    reference.randomise(networks)
    before = reference.values(networks[0])
    if begin:
        callback.set_model(types.SimpleNamespace(networks=networks))
        callback.on_train_begin()
    callback.on_epoch_begin(1)
    after = reference.values(networks[0])
    return {path for path in before if np.any(before[path] != after[path])}
