"""Stock layers on TensorFlow's fused operations, while networks are called."""

import contextlib
from collections.abc import Iterator
from collections.abc import Sequence

import keras

from keras_graft.acceleration.fused_batch_norm import fused_batch_norm
from keras_graft.acceleration.fused_padding import fused_padding


@contextlib.contextmanager
def accelerated_layers(
    networks: Sequence[keras.Model], padding: bool = True
) -> Iterator[None]:
    """Within it, calls of the networks run on fused operations.

    Args:
        networks: Built Keras models; none to change nothing.
        padding: Whether convolutions pad in place of the `ZeroPadding2D`
            before them. Not where outputs of inner layers are looked at.
    """
    with fused_batch_norm(networks), fused_padding(networks if padding else []):
        yield
