"""What every test needs before TensorFlow starts its devices."""

import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest
import tensorflow as tf

# Two logical devices stand for two GPUs; they cannot be added later.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration()] * 2,
)


@pytest.fixture(scope="session")
def two_replicas():
    """One strategy for all tests.

    TensorFlow numbers the collectives of every strategy from the same start,
    and refuses a second one on the same devices whose shapes differ.
    """
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


@pytest.fixture
def images():
    """64 images of 8x8x1 in four classes that a small network can learn."""
    rng = np.random.default_rng(0)
    labels = np.arange(64, dtype="int32") % 4
    x = rng.uniform(0, 100, (64, 8, 8, 1)).astype("float32")
    for i, label in enumerate(labels):
        x[i, 2 * label : 2 * label + 2] += 120
    return x, labels


@pytest.fixture
def policy(request):
    """Keras' dtype policy for a test; parametrize it with `indirect=True`."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy(before)


@pytest.fixture
def small_network():
    """Makes a network of one convolution, BatchNormalization and Dense."""

    def make(seed=0, activation=None, batch_norm=True, dropout=0.0):
        init = keras.initializers.GlorotUniform
        inputs = keras.Input((8, 8, 1))
        x = keras.layers.Rescaling(1 / 255)(inputs)
        x = keras.layers.Conv2D(
            6, 3, use_bias=False, kernel_initializer=init(seed), name="conv"
        )(x)
        if batch_norm:
            x = keras.layers.BatchNormalization(name="bn", synchronized=True)(x)
        x = keras.layers.ReLU()(x)
        x = keras.layers.GlobalAveragePooling2D()(x)
        if dropout:
            x = keras.layers.Dropout(dropout, seed=seed)(x)
        outputs = keras.layers.Dense(
            4,
            activation=activation,
            kernel_initializer=init(seed + 100),
            name="classifier",
        )(x)
        return keras.Model(inputs, outputs, name=f"net{seed}")

    return make
