import keras
import numpy as np
import pytest
import tensorflow as tf
from builders import compiled
from builders import sgd

import keras_graft
from keras_graft.acceleration.fused_batch_norm import can_fuse
from keras_graft.acceleration.fused_batch_norm import fused_batch_norm

CHANNELS = 5


class OwnBatchNormalization(keras.layers.BatchNormalization):
    pass


def one_layer(layer, shape=(6, 7, CHANNELS)):
    model = keras.Sequential([keras.Input(shape), layer])
    rng = np.random.default_rng(0)
    for variable in layer.weights:
        variable.assign(rng.uniform(0.5, 2.0, variable.shape))
    return model


def run(model, x, training, fused):
    """Output, gradients and statistics of one call of a fresh copy."""
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    copy.layers[-1].trainable = model.layers[-1].trainable
    networks = [copy] if fused else []
    weights = tf.random.stateless_normal(x.shape, [3, 4])

    @tf.function
    def step(x):
        with tf.GradientTape() as tape, fused_batch_norm(networks):
            tape.watch(x)
            y = copy(x, training=training)
            loss = tf.reduce_sum(tf.cast(y, "float32") * weights)
        return y, tape.gradient(loss, [x, *copy.trainable_variables])

    y, gradients = step(x)
    if fused:
        operations = {
            op.type
            for op in step.get_concrete_function(x).graph.get_operations()
        }
        assert "FusedBatchNormV3" in operations
    return y, gradients, copy.get_weights()


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"center": False},
        {"scale": False, "epsilon": 1e-5},
        {"momentum": 0.5, "synchronized": True},
        {"trainable": False},
    ],
)
def test_fused_call_equals_the_stock_layer(arguments, training):
    model = one_layer(keras.layers.BatchNormalization(**arguments))
    x = tf.random.stateless_normal([4, 6, 7, CHANNELS], [1, 2], 3.0, 2.0)
    stock = run(model, x, training, fused=False)
    fused = run(model, x, training, fused=True)
    for expected, found in zip(
        tf.nest.flatten(stock), tf.nest.flatten(fused), strict=True
    ):
        scale = np.max(np.abs(expected))
        np.testing.assert_allclose(found, expected, atol=1e-5 * scale)


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16"])
def test_fused_call_in_half_precision_keeps_float32_statistics(dtype):
    model = one_layer(keras.layers.BatchNormalization(dtype=dtype))
    x = tf.random.stateless_normal([4, 6, 7, CHANNELS], [1, 2], 3.0, 2.0)
    y, _, statistics = run(model, x, True, fused=True)
    stock_y, _, stock_statistics = run(model, x, True, fused=False)
    assert y.dtype == model.layers[-1].compute_dtype
    np.testing.assert_allclose(
        tf.cast(y, "float32"), tf.cast(stock_y, "float32"), atol=0.05
    )
    for found, expected in zip(statistics, stock_statistics, strict=True):
        assert found.dtype == "float32"
        np.testing.assert_allclose(found, expected, rtol=1e-3)


@pytest.mark.parametrize(
    ("channels", "dtype"), [(16, "bfloat16"), (32, "bfloat16"), (24, "float32")]
)
def test_half_precision_is_left_where_a_cpu_has_no_quick_kernel(
    channels, dtype
):
    layer = keras.layers.BatchNormalization(dtype="mixed_bfloat16")
    model = one_layer(layer, (6, 7, channels))
    with fused_batch_norm([model]):
        step = tf.function(lambda x: model(x, training=True))
        graph = step.get_concrete_function(
            tf.zeros([4, 6, 7, channels], "bfloat16")
        ).graph
    assert graph.outputs[0].dtype == "bfloat16"
    assert [
        op.get_attr("T").name
        for op in graph.get_operations()
        if op.type == "FusedBatchNormV3"
    ] == [dtype]


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (OwnBatchNormalization(), (6, 7, CHANNELS)),
        (keras.layers.BatchNormalization(axis=1), (CHANNELS, 6, 7)),
        (keras.layers.BatchNormalization(renorm=True), (6, 7, CHANNELS)),
        (keras.layers.BatchNormalization(), (CHANNELS,)),
        (keras.layers.BatchNormalization(dtype="float64"), (6, 7, CHANNELS)),
        (keras.layers.LayerNormalization(), (6, 7, CHANNELS)),
    ],
    ids=["subclass", "axis 1", "renorm", "vectors", "float64", "layer norm"],
)
def test_other_layers_run_as_they_are(layer, shape):
    model = one_layer(layer, shape)
    assert not can_fuse(layer)
    with fused_batch_norm([model]):
        assert "call" not in vars(layer)


def test_layer_is_stock_again_afterwards_and_after_an_error():
    layer = keras.layers.BatchNormalization()
    model = one_layer(layer)
    with fused_batch_norm([model]):
        assert "call" in vars(layer)
    assert "call" not in vars(layer)
    with pytest.raises(KeyError), fused_batch_norm([model]):
        raise KeyError
    assert "call" not in vars(layer)


def trained(fused):
    networks = [
        keras_graft.models.build(
            "resnet8", 4, input_shape=(8, 8, 3), width=0.5, seed=k
        )
        for k in range(2)
    ]
    trainer = compiled(
        keras_graft.GraftTrainer(networks, accelerate=fused),
        optimizer=sgd(0.05),
    )
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (96, 8, 8, 3)).astype("uint8")
    y = rng.integers(0, 4, 96)
    logs = trainer.fit(
        x,
        y,
        batch_size=24,
        epochs=2,
        shuffle=False,
        verbose=0,
        validation_data=(x, y),
    ).history
    return trainer, logs


@pytest.mark.slow
def test_two_epochs_give_the_weights_of_the_stock_layer():
    fused, fused_logs = trained(True)
    stock, stock_logs = trained(False)
    for one, other in zip(fused.networks, stock.networks, strict=True):
        largest = max(np.max(np.abs(w)) for w in other.get_weights())
        differences = [
            np.max(np.abs(a - b))
            for a, b in zip(one.get_weights(), other.get_weights(), strict=True)
        ]
        assert 0 < max(differences) < 1e-5 * largest
    for name, values in stock_logs.items():
        np.testing.assert_allclose(
            fused_logs[name], values, rtol=1e-4, atol=1e-5
        )


def test_saved_network_holds_the_stock_layer(tmp_path):
    trainer, _ = trained(True)
    trainer.networks[0].save(tmp_path / "shipped.keras")
    loaded = keras.saving.load_model(tmp_path / "shipped.keras")
    kinds = {type(layer) for layer in loaded.layers}
    assert keras.layers.BatchNormalization in kinds
    x = np.zeros((2, 8, 8, 3), "uint8")
    np.testing.assert_array_equal(
        loaded(x), trainer.networks[0](x, training=False)
    )
