"""Each network learns from its peers."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from keras_graft.distillation.soft_targets import SoftTargetDistillation
from keras_graft.structure.heads import CLASS_LOGITS
from keras_graft.structure.heads import Head

_CLASSES = Head("output", CLASS_LOGITS)


def peer_probabilities(
    logits: Sequence[tf.Tensor],
    live: tf.Tensor,
    temperature: float,
    head: Head = _CLASSES,
) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
    """Mean of the peers' softened probabilities, for every network.

    Args:
        logits: N tensors of shape (batch, classes), float32, finite.
        live: Shape (N,), float32: 1 for a network that may teach, else 0.
        temperature: Above 0; values have none.
        head: What they are of. Defaults to classes.

    Returns:
        `(targets, present)`: for each network the mean over its live peers,
        shape (batch, classes), and 1.0 if it has a live peer, else 0.0.
    """
    live = tf.unstack(live)
    soft = not head.has_values
    probabilities = [
        live[j] * head.activate(logits[j] / (temperature if soft else 1.0))
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
        head_weights: Dict of factors by output, of networks with several;
            those that it does not name are left out. None: 1.0 for every
            output of classes or labels. Defaults to None.
        regression: Whether outputs that are values learn too, by the mean
            squared difference to the peers' mean. Defaults to False.

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

    def targets(self, prepared, i, head):
        logits, live = prepared.of_head(i), prepared.live
        return peer_probabilities(logits, live, self.temperature, head)
