"""Values of variables as NumPy arrays and back, thousands of times an epoch.

A deep network has hundreds of small weights, and between epochs all of them
are read and written. TensorFlow's operations cost a third of `tf.Variable`'s
methods, and those a third of `keras.Variable.assign`.
"""

import hashlib

import keras
import numpy as np
import tensorflow as tf


def value_of(variable: keras.Variable) -> np.ndarray:
    """A variable's value at this time, in its own shape and dtype.

    Args:
        variable: Any Keras variable, also one mirrored over replicas.

    Returns:
        An array that must not be changed: on a CPU it is the variable's own
        memory, which the variable leaves to it when it takes another value.
    """
    own = variable.value
    if isinstance(own, tf.distribute.DistributedValues):
        return own.numpy()
    return np.asarray(
        tf.raw_ops.ReadVariableOp(resource=own.handle, dtype=own.dtype)
    )


def set_value(variable: keras.Variable, value: np.ndarray) -> None:
    """Assigns a value of the variable's shape, rounded to its dtype.

    Args:
        variable: Any Keras variable, also one mirrored over replicas.
        value: Array or tensor of its shape, float. The variable may keep it
            as its memory: it must not be changed afterwards.
    """
    own = variable.value
    value = np.asarray(value).astype(own.dtype.as_numpy_dtype, copy=False)
    if isinstance(own, tf.distribute.DistributedValues):
        own.assign(value, read_value=False)
    else:
        tf.raw_ops.AssignVariableOp(
            resource=own.handle, value=value, validate_shape=True
        )


def digest_of_weights(network: keras.Model) -> str:
    """A text that other weights have not, whatever else a network is."""
    digest = hashlib.blake2b()
    for variable in network.weights:
        digest.update(np.ascontiguousarray(value_of(variable)).tobytes())
    return digest.hexdigest()
