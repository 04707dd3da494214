"""Each network learns from its peers who is near whom."""

from typing import Any

import keras
import tensorflow as tf

from keras_graft.distillation.term import DistillationTerm
from keras_graft.structure.heads import EMBEDDING
from keras_graft.structure.heads import REGRESSION


def similarity_matrix(embeddings: tf.Tensor) -> tf.Tensor:
    """Cosines between the embeddings of a batch.

    Args:
        embeddings: Shape [batch, size], float32.

    Returns:
        Shape [batch, batch], in [-1, 1]; 0 for an embedding of zeros.
    """
    directions = tf.math.l2_normalize(embeddings, axis=-1)
    return tf.matmul(directions, directions, transpose_b=True)


@keras.saving.register_keras_serializable(package="keras_graft")
class SimilarityDistillation(DistillationTerm):
    """Pulls each network's similarities of a batch towards its peers'.

    Networks embed images in spaces of their own, whose axes mean nothing to a
    peer; who is near whom does. The term of network k is `weight` times the
    mean, over pairs of different images of a batch, of the squared difference
    between its cosine of the pair and the mean of the live peers' cosines,
    with no gradient into the peers.

    On several replicas pairs are within a replica's part of the batch. Sample
    weights are not looked at.

    Args:
        weight: Factor of the term in the loss: a float, at least 0, or a
            `keras.optimizers.schedules.LearningRateSchedule` of the steps
            that a network's optimizer has taken. Defaults to 1.0.
        output: Name of the networks' output. Defaults to `"embedding"`.

    Example:

    ```python
    trainer = keras_graft.GraftTrainer(
        networks,
        distillation=[
            keras_graft.MutualDistillation(),
            keras_graft.recognition.SimilarityDistillation(weight=10.0),
        ],
    )
    ```
    """

    needs_peers = True

    def __init__(self, weight: Any = 1.0, output: str = "embedding") -> None:
        super().__init__(weight=weight)
        self.output = output

    def check_heads(self, heads):
        kinds = {head.name: head.kind for head in heads}
        if self.output not in kinds:
            raise ValueError(
                f"SimilarityDistillation looks at the output '{self.output}', "
                f"which the networks do not have: {list(kinds)}. Give "
                "SimilarityDistillation(output=...)."
            )
        if kinds[self.output] not in (EMBEDDING, REGRESSION):
            raise ValueError(
                f"SimilarityDistillation takes the output '{self.output}' as "
                f"an embedding, and it is {kinds[self.output]}."
            )

    def losses(self, given):
        place = [head.name for head in given.heads].index(self.output)
        found = [similarity_matrix(own) for own in given.of_head(place)]
        live = tf.unstack(given.live)
        weights = self.weights(given.iterations, len(found))
        losses = []
        for k, own in enumerate(found):
            peers = [j for j in range(len(found)) if j != k]
            count = tf.add_n([live[j] for j in peers])
            total = tf.add_n(
                [live[j] * tf.stop_gradient(found[j]) for j in peers]
            )
            target = total / tf.maximum(count, 1.0)
            # An image is as near to itself in every network.
            squares = tf.linalg.set_diag(
                tf.square(own - target), tf.zeros(tf.shape(own)[:1])
            )
            size = tf.cast(tf.shape(own)[0], "float32")
            pairs = tf.maximum(size * (size - 1.0), 1.0)
            mean = tf.reduce_sum(squares) / pairs
            losses.append(weights[k] * tf.minimum(count, 1.0) * mean)
        return losses

    def get_config(self):
        return {"output": self.output, **super().get_config()}
