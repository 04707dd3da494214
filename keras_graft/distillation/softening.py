"""How far predictions are from softened targets."""

import tensorflow as tf

from keras_graft.structure.heads import CLASS_LOGITS
from keras_graft.structure.heads import Head

_CLASSES = Head("output", CLASS_LOGITS)


def softened_divergence(
    targets: tf.Tensor,
    logits: tf.Tensor,
    temperature: float,
    sample_weight: tf.Tensor | None = None,
) -> tf.Tensor:
    """Kullback-Leibler divergence to `logits`, times temperature squared.

    Summed over classes, averaged over the batch (arXiv 2004.12311, equation
    of the distillation loss, less the entropy of the targets, which has no
    gradient). Its gradient with respect to `logits` is
    `temperature * (softmax(logits / temperature) - targets) / batch`.

    Args:
        targets: Probabilities, shape (batch, classes), float32; no gradient
            flows into them.
        logits: Shape (batch, classes), float32.
        temperature: Above 0.
        sample_weight: Optional, shape (batch,): the weight of each example.
            The sum is still divided by the batch size.

    Returns:
        Scalar tensor, float32, at least 0.
    """
    return head_divergence(
        _CLASSES, targets, logits, temperature, sample_weight
    )


def head_divergence(
    head: Head,
    targets: tf.Tensor,
    logits: tf.Tensor,
    temperature: float,
    sample_weight: tf.Tensor | None = None,
    mask: tf.Tensor | None = None,
) -> tf.Tensor:
    """How far what a network gives at a head is from its targets.

    The mean over examples, and over pixels or steps where the head has them,
    of: for classes, the Kullback-Leibler divergence, summed over classes; for
    labels, that of each label's Bernoulli distribution, averaged over labels
    as `BinaryCrossentropy` averages; both times temperature squared. For
    values, the mean squared difference.

    Args:
        head: What the network gives.
        targets: Probabilities at the temperature, or values, shape
            (batch, ..., units), float32; no gradient flows into them.
        logits: Logits, or values, of the same shape, float32.
        temperature: Above 0.
        sample_weight: Optional, shape (batch,) or one for each position. The
            sum is still divided by the number of positions.
        mask: Optional, boolean, one for each position: the others do not
            count, and the mean is over those that do.

    Returns:
        Scalar tensor, float32, at least 0.
    """
    targets = tf.stop_gradient(targets)
    found, factor = _by_position(head, targets, logits, temperature)
    if sample_weight is not None:
        found *= _spread(sample_weight, found)
    if mask is not None:
        counts = tf.cast(mask, found.dtype)
        valid = tf.maximum(tf.reduce_sum(counts), 1.0)
        return factor * tf.reduce_sum(found * counts) / valid
    return factor * tf.reduce_mean(found)


def _by_position(head, targets, logits, temperature):
    """The divergence at each position, and what it is multiplied with."""
    if head.has_values:
        squares = tf.math.squared_difference(targets, logits)
        return tf.reduce_mean(squares, axis=-1), 1.0
    softened = logits / temperature
    # xlogy is 0 where the target is 0, without a NaN in its gradient.
    if head.has_classes:
        log_own = tf.nn.log_softmax(softened)
        found = tf.reduce_sum(
            tf.math.xlogy(targets, targets) - targets * log_own, axis=-1
        )
    else:
        others = 1.0 - targets
        found = tf.reduce_mean(
            tf.math.xlogy(targets, targets)
            + tf.math.xlogy(others, others)
            + targets * tf.nn.softplus(-softened)
            + others * tf.nn.softplus(softened),
            axis=-1,
        )
    return found, temperature**2


def _spread(weight, found):
    """A weight for each position, of one for each example or position."""
    weight = tf.cast(weight, found.dtype)
    if weight.shape.rank == found.shape.rank + 1:
        weight = tf.squeeze(weight, axis=-1)
    while weight.shape.rank < found.shape.rank:
        weight = weight[..., tf.newaxis]
    return weight
