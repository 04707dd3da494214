"""Softened probabilities and the divergence between them."""

import tensorflow as tf


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
    targets = tf.stop_gradient(targets)
    log_own = tf.nn.log_softmax(logits / temperature)
    # xlogy is 0 where the target is 0, without a NaN in its gradient.
    divergence = tf.reduce_sum(
        tf.math.xlogy(targets, targets) - targets * log_own, axis=-1
    )
    if sample_weight is not None:
        weight = tf.reshape(tf.cast(sample_weight, divergence.dtype), [-1])
        divergence *= weight
    return temperature**2 * tf.reduce_mean(divergence)
