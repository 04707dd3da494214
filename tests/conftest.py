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
