"""Each network learns from its peers."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from keras_graft.distillation.soft_targets import SoftTargetDistillation


def peer_probabilities(
    logits: Sequence[tf.Tensor], live: tf.Tensor, temperature: float
) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
    """Mean of the peers' softened probabilities, for every network.

    Args:
        logits: N tensors of shape (batch, classes), float32, finite.
        live: Shape (N,), float32: 1 for a network that may teach, else 0.
        temperature: Above 0.

    Returns:
        `(targets, present)`: for each network the mean over its live peers,
        shape (batch, classes), and 1.0 if it has a live peer, else 0.0.
    """
    live = tf.unstack(live)
    probabilities = [
        live[j] * tf.nn.softmax(logits[j] / temperature)
        for j in range(len(logits))
    ]
    targets, present = [], []
    for k in range(len(logits)):
        peers = [j for j in range(len(logits)) if j != k]
        count = tf.add_n([live[j] for j in peers])
        total = tf.add_n([probabilities[j] for j in peers])
        targets.append(total / tf.maximum(count, 1.0))
        present.append(tf.minimum(count, 1.0))
    return targets, present


@keras.saving.register_keras_serializable(package="keras_graft")
class MutualDistillation(SoftTargetDistillation):
    """Pulls each network towards the mean of its peers' predictions.

    The term of network k is `weight * temperature**2 * KL(mean of the peers'
    softmax(z / temperature), softmax(z_k / temperature))`, summed over
    classes and averaged over the batch, with no gradient into the peers. It
    generalises deep mutual learning (arXiv 1706.00384) to a mean over peers
    and a temperature. It needs at least two networks that see the same
    examples.

    Args:
        temperature: Divides the logits of both sides, above 0. Defaults to
            2.0.
        weight: Factor of the term in the loss: a float, at least 0, or a
            `keras.optimizers.schedules.LearningRateSchedule` of the steps
            that a network's optimizer has taken. Defaults to 1.0.

    Example:

    ```python
    # The weight rises from 0 to 1 over the first 2,000 steps.
    ramp = keras.optimizers.schedules.PolynomialDecay(
        0.0, decay_steps=2000, end_learning_rate=1.0
    )
    trainer = keras_graft.GraftTrainer(
        networks,
        distillation=keras_graft.MutualDistillation(
            temperature=3.0, weight=ramp
        ),
    )
    ```
    """

    needs_peers = True

    def targets(self, inputs, logits, live):
        del inputs  # The peers have seen them already.
        return peer_probabilities(logits, live, self.temperature)
