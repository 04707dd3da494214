import runpy

import keras
import numpy as np
import pytest
from keras import layers

from keras_graft import models
from keras_graft.structure import conv_layers
from keras_graft.structure.conv_layers import conv_kernels
from keras_graft.structure.conv_layers import filter_rows
from keras_graft.structure.conv_layers import is_convolution
from keras_graft.structure.conv_layers import leaf_layers
from keras_graft.structure.conv_layers import own_variables
from keras_graft.structure.conv_layers import structure_differences


def network_of(*of_layers, shape=(8, 8, 4)):
    return keras.Sequential([keras.Input(shape), *of_layers])


def paths(network):
    return [kernel.path for kernel in conv_kernels(network)[0]]


class Block(layers.Layer):
    """A layer made of layers, one of them in a list called `layers`."""

    def __init__(self, convolutions, **kwargs):
        super().__init__(**kwargs)
        self.layers = convolutions
        self.norm = layers.BatchNormalization(name="norm")

    def call(self, x):
        for convolution in self.layers:
            x = convolution(x)
        return self.norm(x)


class Subclassed(keras.Model):
    def __init__(self, block=None):
        super().__init__()
        self.stem = layers.Conv2D(4, 3, name="stem")
        self.block = block or Block([layers.Conv2D(4, 1, name="point")])
        self.classifier = layers.Dense(3, name="classifier")
        self.forgotten = layers.Conv2D(4, 3, name="forgotten")

    def build(self, input_shape):
        self.call(keras.KerasTensor(input_shape))
        self.built = True

    def call(self, x):
        return self.classifier(self.block(self.stem(x)))


# Which kernels, and along which axes their filters lie.

# layer -> {attribute: (filter axes, number of filters)} for 4 channels.
KINDS = [
    (lambda: layers.Conv1D(6, 3), (8, 4), {"kernel": ((-1,), 6)}),
    (lambda: layers.Conv2D(6, 3), (8, 8, 4), {"kernel": ((-1,), 6)}),
    (lambda: layers.Conv3D(6, 3), (5, 5, 5, 4), {"kernel": ((-1,), 6)}),
    (
        lambda: layers.Conv2D(6, 3, groups=2),
        (8, 8, 4),
        {"kernel": ((-1,), 6)},
    ),
    (lambda: layers.Conv1DTranspose(6, 3), (8, 4), {"kernel": ((-2,), 6)}),
    (lambda: layers.Conv2DTranspose(6, 3), (8, 8, 4), {"kernel": ((-2,), 6)}),
    (
        lambda: layers.Conv3DTranspose(6, 3),
        (5, 5, 5, 4),
        {"kernel": ((-2,), 6)},
    ),
    (
        lambda: layers.DepthwiseConv1D(3, depth_multiplier=2),
        (8, 4),
        {"kernel": ((-2, -1), 8)},
    ),
    (
        lambda: layers.DepthwiseConv2D(3, depth_multiplier=2),
        (8, 8, 4),
        {"kernel": ((-2, -1), 8)},
    ),
    (
        lambda: layers.SeparableConv1D(6, 3, depth_multiplier=2),
        (8, 4),
        {
            "depthwise_kernel": ((-2, -1), 8),
            "pointwise_kernel": ((-1,), 6),
        },
    ),
    (
        lambda: layers.SeparableConv2D(6, 3, depth_multiplier=2),
        (8, 8, 4),
        {
            "depthwise_kernel": ((-2, -1), 8),
            "pointwise_kernel": ((-1,), 6),
        },
    ),
]


@pytest.mark.parametrize(
    "make, shape, expected",
    KINDS,
    ids=lambda value: type(value()).__name__ if callable(value) else "",
)
def test_every_kind_of_convolution_takes_part(make, shape, expected):
    network = network_of(make(), shape=shape)
    kernels, skipped = conv_kernels(network)
    assert {
        kernel.attribute: (kernel.filter_axes, kernel.num_filters)
        for kernel in kernels
    } == expected
    assert not skipped
    assert is_convolution(network.layers[0])
    # A filter is what makes one channel of the output: as many rows.
    for kernel in kernels:
        value = kernel.variable.numpy()
        rows = filter_rows(value, kernel.filter_axes)
        assert rows.shape[0] == kernel.num_filters
        assert rows.size == value.size
    last = kernels[-1]
    assert network.output_shape[-1] == last.num_filters


def test_a_row_holds_the_weights_of_one_filter():
    kernel = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    rows = filter_rows(kernel, (-1,))
    for j in range(5):
        np.testing.assert_array_equal(rows[j], kernel[..., j].ravel())
    rows = filter_rows(kernel, (-2,))
    for j in range(4):
        np.testing.assert_array_equal(rows[j], kernel[:, :, j, :].ravel())
    rows = filter_rows(kernel, (-2, -1))
    for c in range(4):
        for m in range(5):
            np.testing.assert_array_equal(
                rows[5 * c + m], kernel[:, :, c, m].ravel()
            )


def test_other_layers_are_no_convolutions():
    for layer in (layers.Dense(3), layers.BatchNormalization(), layers.ReLU()):
        assert not is_convolution(layer)


def test_resnets_have_the_filters_that_the_paper_counts():
    # Convolutions only: 16 + 10 * (16 + 32 + 64).
    network = models.build("resnet32", 10, input_shape=(32, 32, 3))
    kernels, skipped = conv_kernels(network)
    assert sum(kernel.num_filters for kernel in kernels) == 1136
    assert not skipped


# What is walked.


def test_nested_models_and_layers_made_of_layers_are_entered():
    inner = network_of(layers.Conv2D(4, 3, name="conv"))
    inner.name = "inner"
    inputs = keras.Input((8, 8, 4))
    x = layers.Conv2D(4, 3, padding="same", name="stem")(inputs)
    x = Block([layers.Conv2D(4, 1, name="point")], name="block")(inner(x))
    wrapped = layers.TimeDistributed(
        layers.Conv1D(2, 3, name="row"), name="wrapped"
    )
    network = keras.Model(inputs, wrapped(x))
    assert paths(network) == [
        "stem",
        "inner/conv",
        "block/point",
        "wrapped/row",
    ]
    walked = dict(leaf_layers(network))
    assert walked["block/norm"] is network.layers[3].norm
    assert [v.name for v in own_variables(walked["block/norm"])] == [
        "gamma",
        "beta",
        "moving_mean",
        "moving_variance",
    ]


def test_every_weight_of_a_network_has_one_owner():
    network = Subclassed()
    network.build((None, 8, 8, 4))
    owned = [
        v for _, layer in leaf_layers(network) for v in own_variables(layer)
    ]
    assert len(owned) == len({id(v) for v in owned})
    assert {id(v) for v in owned} == {id(v) for v in network.weights}


def test_a_weight_of_the_network_itself_is_walked():
    class Scaled(keras.Model):
        def __init__(self):
            super().__init__(name="scaled")
            self.conv = layers.Conv2D(4, 3, name="conv")

        def build(self, input_shape):
            self.scale = self.add_weight(shape=(), name="scale")
            self.conv.build(input_shape)

        def call(self, x):
            return self.conv(x) * self.scale

    network = Scaled()
    network.build((None, 8, 8, 4))
    assert [path for path, _ in leaf_layers(network)] == ["conv", "scaled"]
    assert own_variables(network) == [network.scale]


def test_a_shared_layer_is_walked_once():
    shared = layers.Conv2D(4, 3, padding="same", name="shared")
    inputs = keras.Input((8, 8, 4))
    once = keras.Model(inputs, shared(shared(inputs)))
    assert paths(once) == ["shared"]
    inner = network_of(shared)
    x = keras.Input((8, 8, 4))
    twice = keras.Model(x, layers.Add()([inner(inner(x)), shared(x)]))
    assert len(paths(twice)) == 1


def test_paths_are_unique_where_names_are_not():
    block = Block(
        [layers.Conv2D(4, 3, name="conv") for _ in range(3)], name="block"
    )
    network = network_of(block)
    assert paths(network) == ["block/conv", "block/conv#2", "block/conv#3"]


# What is left out.


def test_frozen_kernels_are_left_out_by_name():
    network = network_of(
        layers.Conv2D(4, 3, name="free"),
        layers.Conv2D(4, 3, name="frozen", trainable=False),
        layers.Conv2D(4, 3, name="half"),
    )
    network.layers[2].kernel.trainable = False
    kernels, skipped = conv_kernels(network)
    assert [kernel.path for kernel in kernels] == ["free"]
    assert skipped == [
        ("frozen", "it is frozen"),
        ("half", "its kernel is frozen"),
    ]


def test_the_kernels_of_frozen_models_are_left_out():
    inner = network_of(layers.Conv2D(4, 3, name="conv"))
    inner.trainable = False
    network = network_of(inner, layers.Conv2D(4, 3, name="head"))
    assert paths(network) == ["head"]
    inputs = keras.Input((8, 8, 4))
    outputs = layers.Conv2D(4, 3)(inputs)
    # Keras leaves the layers' own flags alone here.
    assert not paths(keras.Model(inputs, outputs, trainable=False))


def test_lora_and_quantised_kernels_are_left_out():
    class Quantised(layers.Conv2D):
        # Keras 3.15 cannot quantise a convolution.
        quantization_mode = "int8"

    network = network_of(
        layers.Conv2D(4, 3, name="adapted"), Quantised(4, 3, name="int8")
    )
    network.layers[0].enable_lora(2)
    kernels, skipped = conv_kernels(network)
    assert not kernels
    assert skipped == [
        ("adapted", "its kernel is adapted by LoRA"),
        ("int8", "its kernel is quantised"),
    ]


def test_a_convolution_that_nothing_calls_is_left_out():
    network = Subclassed()
    network.build((None, 8, 8, 4))
    kernels, skipped = conv_kernels(network)
    assert len(kernels) == 2
    assert skipped == [("forgotten", "it is not built: nothing calls it")]


# Networks of one architecture.


def test_networks_of_one_architecture_do_not_differ():
    networks = [
        network_of(layers.Conv2D(4, 3), layers.BatchNormalization()),
        network_of(layers.Conv2D(4, 3), layers.BatchNormalization()),
    ]
    assert structure_differences(networks) == []
    # Layers without weights do not matter.
    other = network_of(
        layers.Dropout(0.3), layers.Conv2D(4, 3), layers.BatchNormalization()
    )
    assert structure_differences([networks[0], other]) == []


def test_each_difference_is_listed_with_both_sides():
    first = network_of(
        layers.Conv2D(4, 3, name="a"),
        layers.Conv2D(4, 3, name="b"),
        layers.Conv2D(4, 3, name="c"),
    )
    wider = network_of(
        layers.Conv2D(4, 3, name="a"),
        layers.Conv2D(5, 3, name="wide"),
        layers.Conv2DTranspose(4, 3, name="up"),
        layers.BatchNormalization(name="norm"),
    )
    frozen = network_of(
        layers.Conv2D(4, 3, name="a"),
        layers.Conv2D(4, 3, name="b", trainable=False),
        layers.Conv2D(4, 3, name="c"),
    )
    assert structure_differences([first, wider, frozen]) == [
        "layer 1: network_0 has Conv2D 'b' [(3, 3, 4, 4), (4,)], "
        "network_1 has Conv2D 'wide' [(3, 3, 4, 5), (5,)]",
        "layer 2: network_0 has Conv2D 'c' [(3, 3, 4, 4), (4,)], "
        "network_1 has Conv2DTranspose 'up' [(3, 3, 4, 5), (4,)]",
        "layer 3: network_0 has no layer, "
        "network_1 has BatchNormalization 'norm' [(4,), (4,), (4,), (4,)], "
        "not trainable: [(4,), (4,)]",
        "layer 1: network_0 has Conv2D 'b' [(3, 3, 4, 4), (4,)], "
        "network_2 has Conv2D 'b' [(3, 3, 4, 4), (4,)], "
        "not trainable: [(3, 3, 4, 4), (4,)]",
    ]


def test_a_kernel_frozen_in_one_network_only_is_a_difference():
    networks = [network_of(layers.Conv2D(4, 3, name="c")) for _ in range(2)]
    networks[1].layers[0].kernel.trainable = False
    (line,) = structure_differences(networks)
    assert line.endswith("not trainable: [(3, 3, 4, 4)]")


def test_another_backend_is_refused_at_import(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(
        ImportError, match="'jax': set.*KERAS_BACKEND=tensorflow before"
    ):
        runpy.run_path(conv_layers.__file__)
