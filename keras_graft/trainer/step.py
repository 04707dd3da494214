"""One step of every network, as the method has it."""

import dataclasses
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_graft.acceleration.fused_batch_norm import fused_batch_norm
from keras_graft.distillation import DistillationTerm
from keras_graft.distillation import FeatureTaps
from keras_graft.distribution.keras_gaps import reducible
from keras_graft.distribution.replicas import evenly_split
from keras_graft.distribution.replicas import own_random_numbers
from keras_graft.distribution.replicas import padded
from keras_graft.structure.graph import mask_of
from keras_graft.structure.graph import with_mask
from keras_graft.structure.heads import Head
from keras_graft.structure.heads import map_heads
from keras_graft.structure.heads import mean_outputs
from keras_graft.trainer.batch import Batch
from keras_graft.trainer.batch import num_examples
from keras_graft.trainer.forward import Predictions
from keras_graft.trainer.forward import forward_all
from keras_graft.trainer.guard import keep_where
from keras_graft.trainer.guard import once_drawn
from keras_graft.trainer.guard import snapshots
from keras_graft.trainer.guard import values
from keras_graft.trainer.health import Health
from keras_graft.trainer.losses import Losses
from keras_graft.trainer.losses import distillation_losses
from keras_graft.trainer.losses import finite_networks
from keras_graft.trainer.losses import finite_outputs
from keras_graft.trainer.losses import live_losses
from keras_graft.trainer.losses import supervised_losses
from keras_graft.trainer.losses import unhidden
from keras_graft.trainer.scoring import Counted
from keras_graft.trainer.scoring import Scoring
from keras_graft.trainer.skipped_steps import finite_parts
from keras_graft.trainer.updates import tapes_of
from keras_graft.trainer.updates import update_all
from keras_graft.trainer.views import views_of


@dataclasses.dataclass(frozen=True)
class StepParts:
    """What a step of a trainer works on.

    Attributes:
        networks: N models.
        health: Which of them are live.
        heads_of: What their outputs mean, as a function of one's outputs.
        strategy: The strategy that they were made under.
        accelerate: Whether to make layers faster, see `acceleration`.
        share: Whether networks that compute the same may share a function.
        recompute: Whether such a function computes activations again.
        optimizers: Their optimizers, built; empty where nothing is trained.
        scoring: Loss and metrics; None where only predictions count.
        terms: The distillation terms that are in the graph.
        taps: What `feature_taps` returned for the terms.
    """

    networks: Sequence[keras.Model]
    health: Health
    heads_of: Callable[[Any], Sequence[Head]]
    strategy: Any
    accelerate: bool
    share: bool
    recompute: bool
    optimizers: Sequence[keras.optimizers.Optimizer] = ()
    scoring: Scoring | None = None
    terms: Sequence[DistillationTerm] = ()
    taps: FeatureTaps | None = None

    @property
    def num_replicas(self) -> int:
        return self.strategy.num_replicas_in_sync


def train_step(parts: StepParts, data: Any) -> dict[str, tf.Tensor]:
    """Takes one step with every network, or none where it went wrong.

    Args:
        parts: What the step works on.
        data: This replica's part of a batch, as `fit` draws it.

    Returns:
        The logs so far in this epoch, by name.
    """
    with once_drawn(data):
        networks, optimizers = parts.networks, parts.optimizers
        batch = Batch.of(data, len(networks), parts.num_replicas)
        kept = evenly_split(batch.size)
        before = snapshots(networks, optimizers)
        beside = [parts.scoring.kept_by_step(k) for k in range(len(networks))]
        beside_before = [values(variables) for variables in beside]
        with tapes_of(networks) as tapes:
            with own_random_numbers(networks):
                predictions = _forward(parts, batch, training=True)
            supervised = _supervised(parts, batch, predictions, training=True)
            finite = finite_networks(predictions.outputs, supervised)
            losses = _losses(
                parts, batch, predictions, supervised, finite * kept
            )
            scaled = [
                optimizer.scale_loss(loss)
                for optimizer, loss in zip(
                    optimizers, losses.minimised, strict=True
                )
            ]
        taken = update_all(
            networks,
            optimizers,
            tapes,
            scaled,
            before,
            losses.live,
            predictions.shared,
        )
        for k, variables in enumerate(beside):
            keep_where(
                taken[1][k], variables, values(variables), beside_before[k]
            )
        parts.health.record(finite, kept)
        parts.health.skipped.record(
            [
                *finite_parts(batch, predictions.outputs, losses.distillation),
                finite,
                *taken,
            ],
            kept * parts.health.not_retired(),
        )
        if parts.num_replicas > 1:
            parts.scoring.count_examples(batch.size, kept)
            batch = batch.first(batch.size * tf.cast(kept, batch.size.dtype))
            predictions = predictions.first(batch.size)
        return _scores(
            parts,
            batch,
            finite_outputs(predictions.outputs, losses.live),
            losses,
            losses.minimised,
            Counted(losses.live, losses.live, metrics=losses.live),
        )


def test_step(parts: StepParts, data: Any) -> dict[str, tf.Tensor]:
    """Scores the networks on a batch; as `train_step`, without training.

    What is not finite stays so in the logs, as in Keras: a network that is
    not retired is scored by what it predicts.
    """
    with once_drawn(data):
        batch = Batch.of(data, len(parts.networks), parts.num_replicas)
        predictions = _forward(parts, batch, training=False)
        supervised = _supervised(parts, batch, predictions, training=False)
        finite = finite_networks(predictions.outputs, supervised)
        losses = _losses(parts, batch, predictions, supervised, finite)
        present = parts.health.not_retired()
        losses = unhidden(losses, supervised, present, bool(parts.terms))
        return _scores(
            parts,
            batch,
            predictions.outputs,
            losses,
            losses.supervised,
            Counted(present, parts.health.judged()),
        )


def predictions_of(
    parts: StepParts, inputs: Any, training: bool = False
) -> Any:
    """The ensemble's predictions: the mean of the live networks'.

    Args:
        parts: What the step works on.
        inputs: A batch, or a view of it for each network.
        training: Whether the networks train.

    Returns:
        Probabilities, or values where heads have values, float32, in the
        structure that a network gives.
    """
    networks = parts.networks
    views = views_of(inputs, len(networks))
    outputs = _called(parts, views, training, None).outputs
    heads = parts.heads_of(outputs[0])
    return mean_outputs(outputs, parts.health.live(), heads)


def predict_step(parts: StepParts, data: Any) -> Any:
    """`predictions_of` a replica's part of a batch, which may be empty."""
    x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
    if parts.num_replicas == 1:
        return predictions_of(parts, x)
    size = num_examples(x)
    return keras.tree.map_structure(
        lambda output: output[:size], predictions_of(parts, padded(x))
    )


def _forward(parts, batch, training) -> Predictions:
    predictions = _called(parts, batch.inputs, training, parts.taps)
    if parts.num_replicas > 1:
        predictions = predictions.first(batch.size)
    return predictions


def _called(parts, views, training, taps) -> Predictions:
    networks = parts.networks if parts.accelerate else []
    with fused_batch_norm(networks):
        return forward_all(
            parts.networks,
            views,
            training,
            taps,
            share=parts.share,
            recompute=parts.recompute,
        )


def _supervised(parts, batch, predictions, training):
    return supervised_losses(
        parts.networks,
        parts.scoring,
        batch,
        predictions,
        training,
        parts.num_replicas,
    )


def _losses(parts, batch, predictions, supervised, finite) -> Losses:
    live = finite * parts.health.not_retired()
    distillation = distillation_losses(
        parts.terms,
        batch,
        predictions,
        live,
        parts.heads_of(predictions.outputs[0]),
        parts.num_replicas,
        [optimizer.iterations for optimizer in parts.optimizers],
    )
    return live_losses(supervised, distillation, live)


def _scores(parts, batch, outputs, losses, reported, counted):
    ensemble = None
    if batch.shared_labels:
        heads = parts.heads_of(outputs[0])
        mean = mean_outputs(outputs, counted.together, heads)
        ensemble = map_heads(Head.like_outputs, mean, heads)
        ensemble = keras.tree.map_structure(
            lambda tensor, like: with_mask(tensor, mask_of(like)),
            ensemble,
            outputs[0],
        )
    parts.scoring.update_losses(
        [loss * parts.num_replicas for loss in reported],
        [loss * parts.num_replicas for loss in losses.distillation],
        counted,
        batch.size,
    )
    parts.scoring.update_metrics(
        batch.labels, outputs, batch.weights, ensemble, counted.metrics
    )
    logs = parts.scoring.results(*parts.health.in_logs())
    return reducible(logs, parts.strategy)
