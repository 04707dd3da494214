import contextlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from builders import compiled

import keras_graft
from keras_graft.acceleration.convolution_gradients import convolution_gradients
from keras_graft.acceleration.fused_batch_norm import fused_batch_norm
from keras_graft.acceleration.recomputation import recomputation

SHAPE = (8, 8, 3)
BATCH = 4


def normalised_relu(x, max_value=None, **how):
    x = keras.layers.BatchNormalization(**how)(x)
    return keras.layers.ReLU(max_value)(x)


def plain(max_value=None, **how):
    x = inputs = keras.Input(SHAPE)
    x = keras.layers.Conv2D(5, 3, padding="same")(x)
    x = normalised_relu(x, max_value, **how)
    x = keras.layers.Conv2D(4, 3)(x)
    return keras.Model(inputs, x)


def separable():
    x = inputs = keras.Input(SHAPE)
    x = normalised_relu(keras.layers.Conv2D(5, 1)(x))
    x = keras.layers.DepthwiseConv2D(3, padding="same")(x)
    x = normalised_relu(x)
    x = keras.layers.Conv2D(4, 1)(x)
    return keras.Model(inputs, x)


def two_convolutions_read():
    x = inputs = keras.Input(SHAPE)
    x = normalised_relu(keras.layers.Conv2D(5, 1)(x))
    ways = [keras.layers.Conv2D(4, n, padding="same")(x) for n in (1, 3)]
    return keras.Model(inputs, keras.layers.Add()(ways))


def frozen():
    model = plain()
    norm = next(
        layer
        for layer in model.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    )
    norm.trainable = False
    norm.moving_mean.assign([0.1, -0.2, 0.3, 0.0, 0.2])
    norm.moving_variance.assign([1.1, 0.9, 2.0, 0.5, 1.0])
    return model


def pool_reads_too():
    x = inputs = keras.Input(SHAPE)
    x = normalised_relu(keras.layers.Conv2D(4, 1)(x))
    pooled = keras.layers.MaxPooling2D(3, 1, padding="same")(x)
    x = keras.layers.Conv2D(4, 1)(x)
    return keras.Model(inputs, keras.layers.Add()([x, pooled]))


def nothing_normalises():
    x = inputs = keras.Input(SHAPE)
    x = keras.layers.Conv2D(5, 1, activation="relu")(x)
    return keras.Model(inputs, keras.layers.Conv2D(4, 1)(x))


def drawn_weights(model):
    """Weights away from what they start with, which would hide errors."""
    draws = np.random.default_rng(5)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            for weight in layer.trainable_weights:
                weight.assign(weight + draws.normal(0, 0.3, weight.shape))
    return model


def differentiated(model, recompute, batch=BATCH):
    """Gradients, numbers handed to the backward pass, and its BatchNorms."""
    x = tf.random.stateless_normal([BATCH, *SHAPE], [1, 2])

    @tf.function(input_signature=[tf.TensorSpec((batch, *SHAPE))])
    def network(x):
        with contextlib.ExitStack() as stack:
            stack.enter_context(convolution_gradients())
            if recompute:
                stack.enter_context(recomputation())
            return model(x, training=True)

    @tf.function
    def step(x):
        with tf.GradientTape() as tape, fused_batch_norm([model]):
            tape.watch(x)
            loss = tf.reduce_sum(tf.cast(network(x), "float32") ** 2)
        return tape.gradient(loss, [x, *model.trainable_variables])

    graph = step.get_concrete_function(x).graph
    repeated = [
        node.name
        for function in graph.as_graph_def().library.function
        if "backward" in function.signature.name
        for node in function.node_def
        if node.op == "FusedBatchNormV3"
    ]
    return step(x), handed_over(graph), len(repeated)


def handed_over(graph):
    """Numbers in what the functions of forward passes return."""
    calls = [op for op in graph.get_operations() if "Call" in op.type]
    forward = [op for op in calls if "backward" not in str(op.get_attr("f"))]
    return sum(
        int(np.prod([n or BATCH for n in out.shape[:1]] + out.shape[1:]))
        for op in forward
        for out in op.outputs
        if out.dtype.is_floating and out.shape.rank == 4
    )


RELU = BATCH * 8 * 8 * 5


@pytest.mark.parametrize("batch", [BATCH, None])
@pytest.mark.parametrize(
    "make, fewer",
    [
        (plain, RELU),
        (lambda: plain(6.0), RELU),
        (lambda: plain(scale=False, center=False), RELU),
        (lambda: plain(epsilon=0.1), RELU),
        (separable, 2 * RELU),
        (two_convolutions_read, RELU),
        (frozen, RELU),
        (pool_reads_too, 0),
        (nothing_normalises, 0),
    ],
    ids=[
        "plain",
        "relu6",
        "without scale and offset",
        "epsilon",
        "separable",
        "two convolutions read",
        "frozen",
        "pool reads too",
        "nothing normalises",
    ],
)
def test_same_gradients_with_less_kept(make, fewer, batch):
    model = drawn_weights(make())
    expected, all_kept, repeated = differentiated(model, False, batch)
    assert repeated == 0
    found, kept, repeated = differentiated(model, True, batch)
    assert kept == all_kept - fewer
    # Once for all that read it.
    assert repeated == fewer // RELU
    scales = [float(tf.reduce_max(tf.abs(b))) for b in expected]
    for a, b, scale in zip(found, expected, scales, strict=True):
        # The gradient to a bias that is normalised away is rounding alone.
        scale = max(scale, 1e-3 * max(scales))
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * scale)


def trained(recompute):
    """A trainer after a step, and the graph of that step."""
    networks = [
        keras_graft.models.build("resnet8", 4, seed=k) for k in range(2)
    ]
    trainer = compiled(
        keras_graft.GraftTrainer(
            networks, accelerate=True if recompute else "no_recompute"
        ),
        optimizer=keras.optimizers.SGD(0.01),
        metrics=None,
    )
    x = np.random.default_rng(0).uniform(0, 255, (16, 32, 32, 3))
    batch = tf.data.Dataset.from_tensors((x, np.arange(16) % 4))
    trainer.fit(batch, verbose=0)
    step = tf.function(trainer.train_step).get_concrete_function(
        next(iter(batch))
    )
    return trainer, str(step.graph.as_graph_def())


@pytest.mark.slow
@pytest.mark.skipif(
    bool(tf.config.list_physical_devices("GPU")),
    reason="only a CPU computes activations again",
)
def test_trainer_learns_the_same_with_and_without():
    again, graph = trained(True)
    assert "KerasGraftRelu" in graph
    kept, graph = trained(False)
    assert "KerasGraftRelu" not in graph
    for a, b in zip(again.networks, kept.networks, strict=True):
        for found, expected in zip(
            a.get_weights(), b.get_weights(), strict=True
        ):
            scale = max(1.0, np.max(np.abs(expected)))
            np.testing.assert_allclose(found, expected, atol=1e-5 * scale)
    for trainer in (again, kept):
        copy = keras_graft.GraftTrainer.from_config(trainer.get_config())
        assert copy.accelerate == trainer.accelerate
