"""Metric losses: images of an identity near, those of others far.

Both compare the images of a batch with each other, so that a batch has to
hold several images of each identity: `IdentityBatches`. On several replicas
they are compared within a replica's part of the batch, as the batches are cut
between identities.
"""

from typing import Any

import keras
import tensorflow as tf

from keras_graft.checks.numbers import is_number
from keras_graft.structure.heads import EMBEDDING

# Below, the square root has no gradient that float32 holds.
_LEAST_SQUARE = 1e-12


def batch_hard_triplet(
    labels: tf.Tensor, embeddings: tf.Tensor, margin: float | None = 0.3
) -> tf.Tensor:
    """The triplet loss with the hardest images of a batch (arXiv 1703.07737).

    Each image is held against the farthest of its identity and the nearest of
    any other, by Euclidean distance.

    Args:
        labels: Identities, int, shape [batch] or [batch, 1].
        embeddings: float, shape [batch, size].
        margin: By how much the other is to be farther, 0 or more; None for
            the soft margin, log(1 + exp(difference)).

    Returns:
        float32, shape [batch], 0 or more; 0 for an image without another one
        of its identity, or without one of another identity, in the batch.
    """
    embeddings = tf.cast(embeddings, "float32")
    distances = _distances(embeddings)
    same, other = _pairs(labels)
    farthest = tf.reduce_max(tf.where(same, distances, 0.0), axis=1)
    nearest = tf.reduce_min(
        tf.where(other, distances, distances.dtype.max), axis=1
    )
    told = tf.reduce_any(same, axis=1) & tf.reduce_any(other, axis=1)
    difference = tf.where(told, farthest - nearest, 0.0)
    if margin is None:
        loss = tf.nn.softplus(difference)
    else:
        loss = tf.nn.relu(difference + margin)
    return tf.where(told, loss, 0.0)


def circle_loss(
    labels: tf.Tensor,
    embeddings: tf.Tensor,
    margin: float = 0.25,
    gamma: float = 128.0,
) -> tf.Tensor:
    """The circle loss between the images of a batch (arXiv 2002.10857, 6).

    Of cosines, each image against all others. The weights of the pairs have
    no gradient, as the paper has it; Keras' `Circle` lets it through, and
    takes embeddings of length 1.

    Args:
        labels: Identities, int, shape [batch] or [batch, 1].
        embeddings: float, shape [batch, size], of any length.
        margin: The paper's m, in [0, 1].
        gamma: Scale of the cosines, above 0.

    Returns:
        float32, shape [batch], 0 or more; 0 for an image without another one
        of its identity, or without one of another identity, in the batch.
    """
    directions = tf.math.l2_normalize(tf.cast(embeddings, "float32"), axis=-1)
    cosines = tf.matmul(directions, directions, transpose_b=True)
    same, other = _pairs(labels)
    constant = tf.stop_gradient(cosines)
    of_same = (
        -gamma * tf.nn.relu(1 + margin - constant) * (cosines - (1 - margin))
    )
    of_other = gamma * tf.nn.relu(constant + margin) * (cosines - margin)
    told = tf.reduce_any(same, axis=1) & tf.reduce_any(other, axis=1)
    # Not infinite: its gradient would be no number.
    least = -1e9
    total = tf.reduce_logsumexp(
        tf.where(same, of_same, least), axis=1
    ) + tf.reduce_logsumexp(tf.where(other, of_other, least), axis=1)
    return tf.where(told, tf.nn.softplus(tf.where(told, total, 0.0)), 0.0)


@keras.saving.register_keras_serializable(package="keras_graft")
class BatchHardTriplet(keras.losses.Loss):
    """`batch_hard_triplet` as a loss of Keras.

    For the output `"features"` of an embedding network, before the neck.

    Args:
        margin: By how much the nearest image of another identity is to be
            farther than the farthest of the same, 0 or more; None for the
            soft margin. Defaults to 0.3.
        reduction: As for `keras.losses.Loss`, like `name`.

    Raises:
        ValueError: If `margin` is out of range.
    """

    head_kind = EMBEDDING

    def __init__(
        self,
        margin: float | None = 0.3,
        reduction: str = "sum_over_batch_size",
        name: str = "batch_hard_triplet",
    ) -> None:
        super().__init__(name=name, reduction=reduction)
        if margin is not None and not (is_number(margin) and margin >= 0):
            raise ValueError(
                "`margin` must be a number, at least 0, or None for the soft "
                f"margin. Received: {margin!r}"
            )
        self.margin = margin

    def call(self, y_true: Any, y_pred: Any) -> tf.Tensor:
        return batch_hard_triplet(y_true, y_pred, self.margin)

    def get_config(self):
        return _config(self, margin=self.margin)


@keras.saving.register_keras_serializable(package="keras_graft")
class CircleLoss(keras.losses.Loss):
    """`circle_loss` as a loss of Keras.

    For the output `"features"` or `"embedding"` of an embedding network.

    Args:
        margin: The paper's m, in [0, 1]. Defaults to 0.25.
        gamma: Scale of the cosines, above 0. Defaults to 128.0.
        reduction: As for `keras.losses.Loss`, like `name`.

    Raises:
        ValueError: If `margin` or `gamma` is out of range.
    """

    head_kind = EMBEDDING

    def __init__(
        self,
        margin: float = 0.25,
        gamma: float = 128.0,
        reduction: str = "sum_over_batch_size",
        name: str = "circle_loss",
    ) -> None:
        super().__init__(name=name, reduction=reduction)
        if not (is_number(margin) and 0 <= margin <= 1):
            raise ValueError(
                f"`margin` must be in [0, 1]. Received: {margin!r}"
            )
        if not (is_number(gamma) and gamma > 0):
            raise ValueError(
                f"`gamma` must be a number above 0. Received: {gamma!r}"
            )
        self.margin = margin
        self.gamma = gamma

    def call(self, y_true: Any, y_pred: Any) -> tf.Tensor:
        return circle_loss(y_true, y_pred, self.margin, self.gamma)

    def get_config(self):
        return _config(self, margin=self.margin, gamma=self.gamma)


def _config(loss, **settings):
    return {"reduction": loss.reduction, "name": loss.name, **settings}


def _distances(embeddings):
    products = tf.matmul(embeddings, embeddings, transpose_b=True)
    squares = tf.linalg.diag_part(products)
    squares = squares[:, tf.newaxis] - 2 * products + squares[tf.newaxis]
    return tf.sqrt(tf.maximum(squares, _LEAST_SQUARE))


def _pairs(labels):
    """Which pairs are of one identity, an image with itself left out."""
    labels = tf.reshape(labels, [-1])
    same = labels[:, tf.newaxis] == labels[tf.newaxis]
    size = tf.shape(labels)[0]
    return same & ~tf.eye(size, dtype=tf.bool), ~same
