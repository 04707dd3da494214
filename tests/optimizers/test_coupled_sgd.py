import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_graft.optimizers.coupled_sgd import CoupledSGD


def pytorch_sgd(weights, gradients, rates, momentum, weight_decay):
    """PyTorch's SGD: decay in the gradient, rate outside the momentum."""
    weights, buffer = np.array(weights, "float64"), None
    for gradient, rate in zip(gradients, rates, strict=True):
        gradient = gradient + weight_decay * weights
        # PyTorch's first buffer is the gradient itself.
        buffer = gradient if buffer is None else momentum * buffer + gradient
        weights = weights - rate * buffer
    return weights


def some_gradients(shape, steps=3):
    rng = np.random.default_rng(0)
    return [rng.normal(size=shape) for _ in range(steps)]


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("weight_decay", [0.0, 5e-2])
def test_three_steps_equal_pytorchs_sgd(momentum, weight_decay):
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay(
        [0, 1], [0.1, 0.03, 0.007]
    )
    optimizer = CoupledSGD(schedule, momentum, weight_decay)
    start = np.random.default_rng(1).normal(size=(3, 2))
    variable = keras.Variable(start, dtype="float32")
    gradients = some_gradients((3, 2))
    for gradient in gradients:
        optimizer.apply([tf.constant(gradient, "float32")], [variable])
    expected = pytorch_sgd(
        start, gradients, [0.1, 0.03, 0.007], momentum, weight_decay
    )
    np.testing.assert_allclose(variable, expected, rtol=1e-5, atol=1e-6)


def test_a_rate_set_between_steps_acts_at_once():
    # Keras' own SGD keeps the old rate inside its momentum.
    optimizer = CoupledSGD(0.1, 0.9, 5e-2)
    start, gradients = np.ones((4,)), some_gradients((4,), 2)
    variable = keras.Variable(start, dtype="float32")
    for gradient, rate in zip(gradients, [0.1, 0.01], strict=True):
        optimizer.learning_rate = rate
        optimizer.apply([tf.constant(gradient, "float32")], [variable])
    expected = pytorch_sgd(start, gradients, [0.1, 0.01], 0.9, 5e-2)
    np.testing.assert_allclose(variable, expected, rtol=1e-5)


def test_every_trainable_variable_is_decayed():
    network = keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            keras.layers.Conv2D(2, 3, bias_initializer="ones"),
            keras.layers.BatchNormalization(beta_initializer="ones"),
            keras.layers.Flatten(),
            keras.layers.Dense(3, bias_initializer="ones"),
        ]
    )
    variables = network.trainable_variables
    before = [np.array(v) for v in variables]
    optimizer = CoupledSGD(0.5, 0.9, 0.1)
    optimizer.apply([tf.zeros(v.shape) for v in variables], variables)
    assert len(variables) == 6
    for old, new in zip(before, variables, strict=True):
        np.testing.assert_allclose(new, old * (1 - 0.5 * 0.1), rtol=1e-6)


def test_decay_is_stronger_than_that_of_keras_own_sgd():
    def weight_after(optimizer):
        variable = keras.Variable([1.0])
        for _ in range(20):
            optimizer.apply([tf.zeros([1])], [variable])
        return float(variable.numpy()[0])

    coupled = weight_after(CoupledSGD(0.1, 0.9, 0.01))
    decoupled = weight_after(
        keras.optimizers.SGD(0.1, momentum=0.9, weight_decay=0.01)
    )
    assert 1 - coupled > 4 * (1 - decoupled)


def test_config_round_trip_keeps_every_setting():
    optimizer = CoupledSGD(0.3, 0.8, 1e-3, clipnorm=2.0, name="mine")
    config = optimizer.get_config()
    again = CoupledSGD.from_config(config)
    assert again.get_config() == config
    assert again.coupled_weight_decay == 1e-3
    serialised = keras.optimizers.serialize(optimizer)
    loaded = keras.optimizers.deserialize(serialised)
    assert type(loaded) is CoupledSGD
    assert loaded.get_config() == config
    # Keras' own decay must not come on top.
    assert loaded.weight_decay is None


@pytest.mark.parametrize("weight_decay", [-1e-4, float("nan"), float("inf")])
def test_a_weight_decay_out_of_range_is_refused(weight_decay):
    with pytest.raises(ValueError, match="`weight_decay` must be a finite"):
        CoupledSGD(weight_decay=weight_decay)


def test_nesterov_momentum_is_refused():
    with pytest.raises(ValueError, match="no Nesterov.*keras.optimizers.SGD"):
        CoupledSGD(nesterov=True)


def test_two_replicas_step_like_one_device(two_replicas):
    strategy = two_replicas
    with strategy.scope():
        layer = keras.layers.Dense(2, use_bias=False)
        layer.build((None, 1))
        variable = layer.kernel
        variable.assign([[1.0, -2.0]])
        optimizer = CoupledSGD(0.1, 0.9, 5e-2)
        optimizer.build([variable])

    def on_replica(gradient):
        # A gradient lies on its replica's device.
        optimizer.apply([tf.identity(gradient)], [variable])

    @tf.function
    def step(gradient):
        strategy.run(on_replica, (gradient,))

    gradients = some_gradients((1, 2), 2)
    for gradient in gradients:
        # Replicas' gradients are summed.
        step(tf.constant(gradient / 2, "float32"))
    expected = pytorch_sgd([[1.0, -2.0]], gradients, [0.1] * 2, 0.9, 5e-2)
    for copy in variable.value.values:
        np.testing.assert_allclose(copy, expected, rtol=1e-5)
