"""The losses of a step, and who is finite enough to take part in it."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from keras_graft.distillation import DistillationInputs
from keras_graft.distillation import DistillationTerm
from keras_graft.distribution.replicas import all_finite
from keras_graft.structure.outputs import as_logits
from keras_graft.trainer.batch import Batch
from keras_graft.trainer.forward import Predictions


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


def live_losses(
    supervised: Sequence[tf.Tensor],
    distillation: Sequence[tf.Tensor],
    live: tf.Tensor,
) -> Losses:
    """Takes out what is not live: 0 times NaN is NaN.

    Args:
        supervised: N scalars.
        distillation: N scalars.
        live: Shape (N,), float32.
    """
    alive = tf.unstack(live > 0)
    return Losses(
        *(
            [
                tf.where(there, loss, 0.0)
                for there, loss in zip(alive, losses, strict=True)
            ]
            for losses in (supervised, distillation)
        ),
        live,
    )


def distillation_losses(
    terms: Sequence[DistillationTerm],
    batch: Batch,
    predictions: Predictions,
    live: tf.Tensor,
    from_logits: bool,
    num_replicas: int,
    iterations: Sequence[Any],
) -> list[tf.Tensor]:
    """What the networks learn from their peers and from teachers.

    Args:
        terms: The distillation terms that are in the graph.
        batch: This replica's part of the batch.
        predictions: What the networks made of it.
        live: Shape (N,), float32: who may teach.
        from_logits: Whether the networks give logits.
        num_replicas: Number of replicas in sync.
        iterations: The steps that each network's optimizer has taken; terms
            whose weight is a schedule need them.

    Returns:
        N scalars, float32: this replica's share of the sum over terms.
    """
    if not terms:
        return [tf.zeros([])] * len(predictions.outputs)
    logits = [
        as_logits(output, from_logits)
        for output in finite_outputs(predictions.outputs, live)
    ]
    given = DistillationInputs(
        inputs=batch.inputs,
        logits=logits,
        live=live,
        sample_weights=batch.weights,
        iterations=iterations,
        features=predictions.features,
    )
    by_term = [term.losses(given) for term in terms]
    return [
        # A replica without an example has no mean: 0 / 0.
        tf.where(batch.size > 0, tf.add_n(of_network) / num_replicas, 0.0)
        for of_network in zip(*by_term, strict=True)
    ]
