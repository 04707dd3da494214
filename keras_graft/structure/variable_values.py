"""Values of variables as NumPy arrays and back, thousands of times an epoch.

A deep network has hundreds of small weights, and between epochs all of them
are read and written. TensorFlow's operations cost a third of `tf.Variable`'s
methods, and those a third of `keras.Variable.assign`. Most of an operation is
the way to it from Python, so several variables share one where they can.
"""

import functools
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

# Variables that one call reads or writes. More would be faster by the call
# and slower by the trace.
STACK_SIZE = 16

# TensorFlow prepares a function anew for each shape of the variables, and
# there is nothing in it to optimise.
_CONFIG = tf.compat.v1.ConfigProto()
_CONFIG.graph_options.rewrite_options.disable_meta_optimizer = True
_PLAIN = _CONFIG.SerializeToString()


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


class VariableStack:
    """Variables of one shape and dtype, read and written as one array.

    `STACK_SIZE` of them on one replica are read by one call of TensorFlow
    and written by another; any other number one by one.

    Args:
        variables: Keras variables of one shape and dtype.
    """

    def __init__(self, variables: Sequence[keras.Variable]):
        self.variables = tuple(variables)
        own = [variable.value for variable in variables]
        self._dtype = own[0].dtype
        mirrored = any(
            isinstance(value, tf.distribute.DistributedValues) for value in own
        )
        self._handles = None
        if len(own) == STACK_SIZE and not mirrored:
            self._handles = [variable.handle for variable in own]

    def read(self) -> np.ndarray:
        """The values, shape (variables, ...), in the variables' dtype.

        As of `value_of`, they must not be changed.
        """
        if self._handles is None:
            if len(self.variables) == 1:
                return value_of(self.variables[0])[np.newaxis]
            return np.stack([value_of(v) for v in self.variables])
        # As an operation: calling the function checks every argument anew,
        # which costs more than reading does.
        (values,) = tf.raw_ops.StatefulPartitionedCall(
            args=self._handles,
            Tout=[self._dtype],
            f=_reader(self._dtype),
            config_proto=_PLAIN,
        )
        return np.asarray(values)

    def write(self, values: np.ndarray) -> None:
        """Assigns values, rounded to the variables' dtype.

        Args:
            values: Shape (variables, ...), float. As with `set_value`, they
                must not be changed afterwards.
        """
        if self._handles is None:
            for variable, value in zip(self.variables, values, strict=True):
                set_value(variable, value)
            return
        values = values.astype(self._dtype.as_numpy_dtype, copy=False)
        tf.raw_ops.StatefulPartitionedCall(
            args=[values, *self._handles],
            Tout=[],
            f=_writer(self._dtype),
            config_proto=_PLAIN,
        )


@functools.cache
def _reader(dtype):
    def read(*handles):
        values = [
            tf.raw_ops.ReadVariableOp(resource=handle, dtype=dtype)
            for handle in handles
        ]
        return tf.raw_ops.Pack(values=values)

    handles = [tf.TensorSpec(None, tf.resource)] * STACK_SIZE
    return tf.function(read, autograph=False).get_concrete_function(*handles)


@functools.cache
def _writer(dtype):
    def write(values, *handles):
        unpacked = tf.raw_ops.Unpack(value=values, num=STACK_SIZE)
        for handle, value in zip(handles, unpacked, strict=True):
            tf.raw_ops.AssignVariableOp(
                resource=handle, value=value, validate_shape=True
            )

    handles = [tf.TensorSpec(None, tf.resource)] * STACK_SIZE
    return tf.function(write, autograph=False).get_concrete_function(
        tf.TensorSpec(None, dtype), *handles
    )
