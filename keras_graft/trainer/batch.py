"""A batch as each of N networks is given it."""

import dataclasses
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_graft.distribution.replicas import padded
from keras_graft.trainer.views import has_views
from keras_graft.trainer.views import views_of


@dataclasses.dataclass(frozen=True)
class Batch:
    """A batch as each of the N networks is given it.

    Attributes:
        inputs: N entries; where a replica has no example they hold one of
            zeros, since many layers fail on an empty batch.
        labels: N entries.
        weights: N sample weights of shape (batch,), or None.
        shared_labels: Whether all networks were given the same labels.
        size: Number of examples, an integer scalar.
    """

    inputs: list
    labels: list
    weights: list
    shared_labels: bool
    size: tf.Tensor

    @classmethod
    def of(cls, data: Any, num_networks: int, num_replicas: int) -> "Batch":
        """Splits what a dataset yields into the networks' views.

        Args:
            data: `x`, `(x, y)` or `(x, y, sample_weight)`.
            num_networks: N.
            num_replicas: Number of replicas in sync.
        """
        # An eager step of one batch is given arrays by Keras.
        data = keras.tree.map_structure(
            lambda part: (
                tf.convert_to_tensor(part)
                if isinstance(part, np.ndarray)
                else part
            ),
            data,
        )
        x, y, weights = keras.utils.unpack_x_y_sample_weight(data)
        return cls(
            views_of(padded(x) if num_replicas > 1 else x, num_networks),
            views_of(y, num_networks),
            views_of(weights, num_networks),
            not has_views(y, num_networks),
            num_examples(x),
        )

    def first(self, size: tf.Tensor) -> "Batch":
        """The same batch with the labels and weights of `size` examples."""

        def cut(parts):
            return keras.tree.map_structure(
                lambda part: None if part is None else part[:size], parts
            )

        return dataclasses.replace(
            self,
            labels=cut(self.labels),
            weights=cut(self.weights),
            size=size,
        )


def num_examples(x: Any) -> tf.Tensor:
    """Examples in a batch of inputs, an integer scalar.

    Args:
        x: Dense, sparse or ragged tensors, nested in any way; None for
            optional inputs.
    """
    first = next(t for t in keras.tree.flatten(x) if t is not None)
    if isinstance(first, tf.SparseTensor):
        return tf.cast(first.dense_shape[0], "int32")
    if isinstance(first, tf.RaggedTensor):
        return tf.cast(first.nrows(), "int32")
    return tf.shape(first)[0]
