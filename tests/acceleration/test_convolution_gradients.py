import contextlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_graft.acceleration.convolution_gradients import convolution_gradients

SHAPE = (8, 7, 3)


def gradients(model, own, batch=4):
    """Gradients of inputs and weights, and the operations that made them."""
    x = tf.random.stateless_normal([4, *SHAPE], [1, 2])

    @tf.function(input_signature=[tf.TensorSpec((batch, *SHAPE))])
    def network(x):
        with convolution_gradients() if own else contextlib.nullcontext():
            return model(x, training=True)

    @tf.function
    def step(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(tf.cast(network(x), "float32") ** 2)
        return tape.gradient(loss, [x, *model.trainable_variables])

    graph = step.get_concrete_function(x).graph.as_graph_def()
    nodes = [n for f in graph.library.function for n in f.node_def]
    return step(x), nodes


def assert_near(found, expected, dtype="float32"):
    for a, b in zip(found, expected, strict=True):
        scale = float(tf.reduce_max(tf.abs(b)))
        atol = scale * (1e-5 if dtype == "float32" else 0.02)
        np.testing.assert_allclose(a, b, rtol=0, atol=atol)


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize(
    "convolution",
    [
        lambda **how: keras.layers.Conv2D(4, 3, **how),
        lambda **how: keras.layers.Conv2D(4, 3, padding="same", **how),
        lambda **how: keras.layers.Conv2D(4, 3, strides=2, **how),
        lambda **how: keras.layers.Conv2D(6, (3, 2), **how),
        lambda **how: keras.layers.Conv2D(4, 1, padding="same", **how),
        lambda **how: keras.layers.DepthwiseConv2D(3, **how),
        lambda **how: keras.layers.DepthwiseConv2D(
            3, strides=2, padding="same", depth_multiplier=2, **how
        ),
        lambda **how: keras.layers.SeparableConv2D(4, 3, **how),
    ],
    ids=[
        "valid",
        "same",
        "strided",
        "not square",
        "pointwise",
        "depthwise",
        "depthwise strided",
        "separable",
    ],
)
@pytest.mark.parametrize("batch", [4, None])
def test_they_equal_those_of_tensorflow(convolution, dtype, batch):
    model = keras.Sequential([keras.Input(SHAPE), convolution(dtype=dtype)])
    expected, nodes = gradients(model, own=False, batch=batch)
    assert not any("KerasGraft" in str(node) for node in nodes)
    found, nodes = gradients(model, own=True, batch=batch)
    assert any("KerasGraft" in str(node) for node in nodes)
    assert_near(found, expected, dtype)


@pytest.mark.parametrize(
    ("dtype", "strides", "expected"),
    [
        ("mixed_bfloat16", 1, "bfloat16"),
        ("mixed_bfloat16", 2, "float32"),
        ("float32", 2, "float32"),
        ("float64", 2, "float64"),
    ],
)
def test_only_strided_depthwise_gradients_in_bfloat16_are_float32(
    dtype, strides, expected
):
    layer = keras.layers.DepthwiseConv2D(3, strides=strides, dtype=dtype)
    _, nodes = gradients(keras.Sequential([keras.Input(SHAPE), layer]), True)
    name = "DepthwiseConv2dNativeBackpropInput"
    (types,) = {n.attr["T"].type for n in nodes if n.op == name}
    assert tf.dtypes.as_dtype(types) == expected
