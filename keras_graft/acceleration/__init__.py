"""Faster with the same numbers; removable as a whole.

| module | what it holds |
| --- | --- |
| `switch` | whether training is accelerated at all |
| `shared_function`, `shared_update` | one function for all networks |
| `built_alike`, `same_computation` | which networks may share one |
| `fused_batch_norm` | stock layers on TensorFlow's fused operation |
| `convolution_gradients`, `recomputation` | gradients for less memory, time |

All of it replaces or reads what Keras and TensorFlow do not promise to keep.
So it turns itself off on versions that it was not tested with.
"""

from keras_graft.acceleration.switch import Acceleration
from keras_graft.acceleration.switch import resolve_acceleration

__all__ = ["Acceleration", "resolve_acceleration"]
