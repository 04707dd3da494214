"""What is frozen, adapted or quantised is not grafted."""

import types

import graft_reference as reference
import keras
import numpy as np
from graft_reference import UNTOUCHED
from graft_reference import N
from graft_reference import assert_block
from graft_reference import conv_governors
from graft_reference import dense_governors
from graft_reference import norm_governors
from graft_reference import separable_governors
from keras import layers

from keras_graft.grafting import GraftCallback


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
