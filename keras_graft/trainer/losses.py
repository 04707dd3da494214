"""The losses of a step, and who is finite enough to take part in it."""

import dataclasses
import inspect
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_graft.distillation import DistillationInputs
from keras_graft.distillation import DistillationTerm
from keras_graft.distribution.replicas import all_finite
from keras_graft.structure.graph import mask_of
from keras_graft.structure.graph import with_mask
from keras_graft.structure.heads import Head
from keras_graft.structure.heads import map_heads
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
        return [
            supervised + tf.cast(term, supervised.dtype)
            for supervised, term in parts
        ]


def has_own_loss(network: keras.Model) -> bool:
    """Whether a network has a `compute_loss` of its own."""
    return type(network).compute_loss is not keras.Model.compute_loss


def supervised_losses(
    networks: Sequence[keras.Model],
    scoring: Any,
    batch: Batch,
    predictions: Predictions,
    training: bool,
    num_replicas: int,
) -> list[tf.Tensor]:
    """Compiled loss plus the network's own losses (regularisers).

    Args:
        networks: N models; what one with a `compute_loss` of its own returns
            is its loss.
        scoring: The trainer's `Scoring`.
        batch: This replica's part of the batch.
        predictions: What the networks made of it.
        training: Whether the networks train.
        num_replicas: Number of replicas in sync.

    Returns:
        N scalars, float32, not necessarily finite.
    """
    losses = []
    for k, output in enumerate(predictions.outputs):
        if has_own_loss(networks[k]):
            losses.append(_own_loss(networks[k], k, batch, output, training))
            continue
        loss = scoring.supervised_loss(
            k, batch.labels[k], output, batch.weights[k]
        )
        for own in predictions.losses[k]:
            loss += tf.reduce_sum(tf.cast(own, loss.dtype)) / num_replicas
        losses.append(loss)
    return losses


def _own_loss(network, k, batch, output, training):
    # The argument is newer than many a model (Keras 3.3).
    parameters = inspect.signature(network.compute_loss).parameters
    more = {"training": training} if "training" in parameters else {}
    loss = network.compute_loss(
        x=batch.inputs[k],
        y=batch.labels[k],
        y_pred=output,
        sample_weight=batch.weights[k],
        **more,
    )
    return tf.cast(loss, "float32")


def finite_networks(
    outputs: Sequence, supervised: Sequence[tf.Tensor]
) -> tf.Tensor:
    """Shape (N,): 1.0 where predictions and loss are finite everywhere."""
    return tf.stack(
        [
            all_finite([*keras.tree.flatten(output), loss])
            for output, loss in zip(outputs, supervised, strict=True)
        ]
    )


def finite_outputs(outputs: Sequence, live: tf.Tensor) -> list:
    """The predictions, with zeros for the networks that are not live."""

    def where(alive):
        return lambda output: with_mask(
            tf.where(alive, output, tf.zeros_like(output)), mask_of(output)
        )

    return [
        keras.tree.map_structure(where(alive), output)
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


def unhidden(
    losses: Losses,
    supervised: Sequence[tf.Tensor],
    present: tf.Tensor,
    distils: bool,
) -> Losses:
    """The losses as they are, with what is not finite in them.

    Args:
        losses: The finite ones.
        supervised: N scalars, not necessarily finite.
        present: Shape (N,), float32: 0 for a network whose losses are 0.
        distils: Whether there are distillation terms.
    """
    nan = tf.constant(float("nan"))
    there = tf.unstack(present > 0)
    finite = tf.unstack(losses.live > 0)
    distillation = losses.distillation
    if distils:
        distillation = [
            tf.where(there[k] & ~finite[k], nan, loss)
            for k, loss in enumerate(distillation)
        ]
    return Losses(
        [tf.where(there[k], loss, 0.0) for k, loss in enumerate(supervised)],
        distillation,
        losses.live,
    )


def distillation_losses(
    terms: Sequence[DistillationTerm],
    batch: Batch,
    predictions: Predictions,
    live: tf.Tensor,
    heads: Sequence[Head],
    num_replicas: int,
    iterations: Sequence[Any],
) -> list[tf.Tensor]:
    """What the networks learn from their peers and from teachers.

    Args:
        terms: The distillation terms that are in the graph.
        batch: This replica's part of the batch.
        predictions: What the networks made of it.
        live: Shape (N,), float32: who may teach.
        heads: What the networks' outputs mean.
        num_replicas: Number of replicas in sync.
        iterations: The steps that each network's optimizer has taken; terms
            whose weight is a schedule need them.

    Returns:
        N scalars, float32: this replica's share of the sum over terms.
    """
    if not terms:
        return [tf.zeros([])] * len(predictions.outputs)
    finite = finite_outputs(predictions.outputs, live)
    given = DistillationInputs(
        inputs=batch.inputs,
        logits=[
            keras.tree.flatten(map_heads(Head.logits, output, heads))
            for output in finite
        ],
        heads=heads,
        masks=[mask_of(tensor) for tensor in keras.tree.flatten(finite[0])],
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
