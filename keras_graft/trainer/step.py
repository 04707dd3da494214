"""What one step computes: a batch, predictions, and the losses."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_graft.distillation import DistillationTerm
from keras_graft.distribution.replicas import all_finite
from keras_graft.distribution.replicas import padded
from keras_graft.structure.outputs import as_logits
from keras_graft.structure.outputs import as_probabilities
from keras_graft.trainer.forward import Predictions
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
        x, y, weights = keras.utils.unpack_x_y_sample_weight(data)
        return cls(
            views_of(padded(x) if num_replicas > 1 else x, num_networks),
            views_of(y, num_networks),
            views_of(weights, num_networks),
            not has_views(y, num_networks),
            tf.shape(keras.tree.flatten(x)[0])[0],
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


@dataclasses.dataclass(frozen=True)
class Losses:
    """The losses of a step: finite, and 0 for a network that is not live.

    They are this replica's share: the sum over replicas is the mean over the
    global batch.

    Attributes:
        supervised: N scalars, float32: compiled loss and regularisers.
        distillation: N scalars, float32.
        live: Shape (N,), float32, equal on all replicas: 1 for a network
            that takes part in this step.
    """

    supervised: list
    distillation: list
    live: tf.Tensor

    @property
    def minimised(self) -> list:
        """What each network's optimizer minimises."""
        parts = zip(self.supervised, self.distillation, strict=True)
        return [supervised + term for supervised, term in parts]


def supervised_losses(
    scoring: Any,
    batch: Batch,
    predictions: Predictions,
    num_replicas: int,
) -> list[tf.Tensor]:
    """Compiled loss plus the network's own losses (regularisers).

    Args:
        scoring: The trainer's `Scoring`.
        batch: This replica's part of the batch.
        predictions: What the networks made of it.
        num_replicas: Number of replicas in sync.

    Returns:
        N scalars, float32, not necessarily finite.
    """
    losses = []
    for k, output in enumerate(predictions.outputs):
        loss = scoring.supervised_loss(
            k, batch.labels[k], output, batch.weights[k]
        )
        for own in predictions.losses[k]:
            loss += tf.reduce_sum(tf.cast(own, "float32")) / num_replicas
        losses.append(loss)
    return losses


def finite_networks(
    outputs: Sequence[tf.Tensor], supervised: Sequence[tf.Tensor]
) -> tf.Tensor:
    """Shape (N,): 1.0 where predictions and loss are finite everywhere."""
    return tf.stack(
        [
            all_finite([output, loss])
            for output, loss in zip(outputs, supervised, strict=True)
        ]
    )


def finite_outputs(
    outputs: Sequence[tf.Tensor], live: tf.Tensor
) -> list[tf.Tensor]:
    """The predictions, with zeros for the networks that are not live."""
    return [
        tf.where(alive, output, tf.zeros_like(output))
        for alive, output in zip(tf.unstack(live > 0), outputs, strict=True)
    ]


def step_losses(
    batch: Batch,
    outputs: Sequence[tf.Tensor],
    supervised: Sequence[tf.Tensor],
    terms: Sequence[DistillationTerm],
    live: tf.Tensor,
    from_logits: bool,
    num_replicas: int,
    iterations: Sequence[Any] | None = None,
    features: Sequence[dict[str, tf.Tensor]] | None = None,
) -> Losses:
    """Computes the distillation terms and takes out what is not live.

    Args:
        batch: This replica's part of the batch.
        outputs: N predictions of shape (batch, classes).
        supervised: N scalars.
        terms: The distillation terms that are in the graph.
        live: Shape (N,), float32.
        from_logits: Whether `outputs` are logits.
        num_replicas: Number of replicas in sync.
        iterations: The steps that each network's optimizer has taken; terms
            whose weight is a schedule need them.
        features: The outputs of the tapped layers, from `forward_all`.

    Returns:
        The `Losses` of the step.
    """

    def where_live(losses):
        return [
            tf.where(alive, loss, 0.0)
            for alive, loss in zip(tf.unstack(live > 0), losses, strict=True)
        ]

    distillation = [tf.zeros([])] * len(outputs)
    if terms:
        logits = [
            as_logits(output, from_logits)
            for output in finite_outputs(outputs, live)
        ]
        parts = [
            term.losses(
                batch.inputs, logits, live, batch.weights, iterations, features
            )
            for term in terms
        ]
        distillation = where_live(
            [
                # A replica without an example has no mean: 0 / 0.
                tf.where(batch.size > 0, tf.add_n(of_one) / num_replicas, 0.0)
                for of_one in zip(*parts, strict=True)
            ]
        )
    return Losses(where_live(supervised), distillation, live)


def mean_probabilities(
    outputs: Sequence[tf.Tensor], live: tf.Tensor, from_logits: bool
) -> tf.Tensor:
    """The ensemble: the mean of the live networks' probabilities.

    Args:
        outputs: N predictions of shape (batch, units).
        live: Shape (N,), float32; if none is live, all count.
        from_logits: Whether `outputs` are logits.

    Returns:
        Shape (batch, units), float32.
    """
    live = tf.where(tf.reduce_any(live > 0), live, tf.ones_like(live))
    total = tf.add_n(
        [
            tf.where(alive, as_probabilities(output, from_logits), 0.0)
            for alive, output in zip(tf.unstack(live > 0), outputs, strict=True)
        ]
    )
    return total / tf.reduce_sum(live)
