import keras
import numpy as np
import pytest
import tensorflow as tf
from builders import compiled

import keras_graft
from keras_graft.acceleration.fused_padding import fused_padding
from keras_graft.acceleration.fused_padding import padded_convolutions

SHAPE = (8, 7, 3)


class OwnPadding(keras.layers.ZeroPadding2D):
    pass


class OwnConvolution(keras.layers.Conv2D):
    pass


def pad_then(convolution, pad=1):
    if not isinstance(pad, keras.layers.Layer):
        pad = keras.layers.ZeroPadding2D(pad)
    return keras.Sequential([keras.Input(SHAPE), pad, convolution])


def run(model, x, fused):
    """Output, gradients and the operations of one call."""
    weights = None

    @tf.function
    def step(x):
        nonlocal weights
        networks = [model] if fused else []
        with tf.GradientTape() as tape, fused_padding(networks):
            tape.watch(x)
            y = model(x, training=True)
            if weights is None:
                weights = tf.random.stateless_normal(y.shape, [3, 4])
            loss = tf.reduce_sum(tf.cast(y, "float32") * weights)
        return y, tape.gradient(loss, [x, *model.trainable_variables])

    results = step(x)
    graph = step.get_concrete_function(x).graph
    return results, {op.type for op in graph.get_operations()}


@pytest.mark.parametrize(
    "arguments",
    [
        {"strides": 2},
        {"strides": 2, "use_bias": False},
        {"activation": "relu"},
    ],
)
@pytest.mark.parametrize("pad", [1, ((0, 1), (2, 3))])
def test_convolution_that_pads_equals_the_two_layers(pad, arguments):
    model = pad_then(keras.layers.Conv2D(4, 3, **arguments), pad)
    x = tf.random.stateless_normal([4, *SHAPE], [1, 2])
    expected, operations = run(model, x, fused=False)
    assert "Pad" in operations
    found, operations = run(model, x, fused=True)
    assert "Pad" not in operations
    for a, b in zip(
        tf.nest.flatten(found), tf.nest.flatten(expected), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def test_in_half_precision_a_cpu_keeps_the_copy_that_onednn_needs():
    model = pad_then(
        keras.layers.Conv2D(4, 3, dtype="mixed_bfloat16"),
        keras.layers.ZeroPadding2D(1, dtype="mixed_bfloat16"),
    )
    x = tf.random.stateless_normal([4, *SHAPE], [1, 2])
    (found, _), operations = run(model, x, fused=True)
    assert found.dtype == "bfloat16"
    assert "Pad" in operations


def two_readers():
    x = keras.Input(SHAPE)
    padded = keras.layers.ZeroPadding2D(1)(x)
    one = keras.layers.Conv2D(4, 3)(padded)
    other = keras.layers.Conv2D(4, 3)(padded)
    return keras.Model(x, keras.layers.Add()([one, other]))


def padding_is_an_output():
    x = keras.Input(SHAPE)
    padded = keras.layers.ZeroPadding2D(1)(x)
    return keras.Model(x, [keras.layers.Conv2D(4, 3)(padded), padded])


def convolution_reads_twice():
    x = keras.Input(SHAPE)
    conv = keras.layers.Conv2D(4, 3)
    padded = conv(keras.layers.ZeroPadding2D(1)(x))
    plain = keras.layers.ZeroPadding2D(1)(conv(x))
    return keras.Model(x, keras.layers.Add()([padded, plain]))


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.pad = keras.layers.ZeroPadding2D(1)
        self.conv = keras.layers.Conv2D(4, 3)

    def call(self, x):
        return self.conv(self.pad(x))


def subclassed():
    model = Subclassed()
    model(np.zeros((1, *SHAPE)))
    return model


@pytest.mark.parametrize(
    "make",
    [
        lambda: pad_then(keras.layers.Conv2D(4, 3), OwnPadding(1)),
        lambda: pad_then(OwnConvolution(4, 3)),
        lambda: pad_then(keras.layers.Conv2D(4, 3, padding="same")),
        lambda: pad_then(keras.layers.Conv2D(3, 3, groups=3)),
        lambda: pad_then(keras.layers.Conv2D(4, 3, dilation_rate=2)),
        lambda: pad_then(keras.layers.DepthwiseConv2D(3)),
        two_readers,
        padding_is_an_output,
        convolution_reads_twice,
        subclassed,
    ],
    ids=[
        "own padding",
        "own convolution",
        "convolution pads itself",
        "groups",
        "dilation",
        "depthwise",
        "two readers",
        "padding is an output",
        "convolution reads twice",
        "subclassed",
    ],
)
def test_other_layers_run_as_they_are(make):
    assert padded_convolutions(make()) == []


def test_layers_are_stock_again_afterwards_and_after_an_error():
    model = pad_then(keras.layers.Conv2D(4, 3))
    pad, conv = model.layers
    with fused_padding([model]):
        assert "call" in vars(pad)
        assert "convolution_op" in vars(conv)
    with pytest.raises(KeyError), fused_padding([model]):
        raise KeyError
    assert "call" not in vars(pad)
    assert "convolution_op" not in vars(conv)


def test_all_strided_convolutions_of_a_cifar_resnet_pad():
    model = keras_graft.models.build("resnet8", num_classes=10)
    names = [conv.name for _, conv in padded_convolutions(model)]
    assert names == ["stage2_block1_conv1", "stage3_block1_conv1"]


def trained(fused):
    networks = [
        keras_graft.models.build("resnet8", num_classes=4, seed=k)
        for k in range(2)
    ]
    trainer = compiled(
        keras_graft.GraftTrainer(networks, accelerate=fused),
        optimizer=keras.optimizers.SGD(0.01),
        metrics=None,
    )
    x = np.random.default_rng(0).uniform(0, 255, (32, 32, 32, 3))
    trainer.fit(x, np.arange(32) % 4, batch_size=16, shuffle=False, verbose=0)
    return networks


def test_trainer_learns_the_same_and_saves_stock_layers(tmp_path):
    fused, stock = trained(True), trained(False)
    for a, b in zip(fused, stock, strict=True):
        for found, expected in zip(
            a.get_weights(), b.get_weights(), strict=True
        ):
            scale = max(1.0, np.max(np.abs(expected)))
            np.testing.assert_allclose(found, expected, atol=1e-3 * scale)
    fused[0].save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras")
    x = np.random.default_rng(1).uniform(0, 255, (4, 32, 32, 3))
    np.testing.assert_allclose(loaded(x), fused[0](x), rtol=1e-5, atol=1e-5)
    assert "Pad" in {
        op.type
        for op in tf.function(loaded)
        .get_concrete_function(tf.TensorSpec((4, 32, 32, 3)))
        .graph.get_operations()
    }
