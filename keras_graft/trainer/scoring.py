"""Loss, metrics and their epoch averages, per network and for the ensemble."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_graft.trainer.copies import metric_copies
from keras_graft.trainer.views import views_of


class _Scorer(keras.Model):
    """Holds one compiled loss and one set of compiled metrics."""

    def __init__(
        self, loss, loss_weights, metrics, weighted_metrics, output_names
    ):
        super().__init__()
        if output_names:
            # Keras goes by them where losses and metrics have keys.
            self.output_names = output_names
        self.compile(
            optimizer=None,
            loss=loss,
            loss_weights=loss_weights,
            metrics=metric_copies(metrics),
            weighted_metrics=metric_copies(weighted_metrics),
            run_eagerly=True,
        )
        self.built = True


class Scoring:
    """What `compile` was told about loss and metrics, for N networks.

    A plain object, so that Keras neither tracks nor saves what it holds.

    Args:
        num_networks: N.
        loss: As for `keras.Model.compile`.
        loss_weights: As for `keras.Model.compile`.
        metrics: As for `keras.Model.compile`; each network and the ensemble
            get copies.
        weighted_metrics: Likewise.
        output_names: Names of the networks' outputs where they tell them.
    """

    def __init__(
        self,
        num_networks,
        loss,
        loss_weights,
        metrics,
        weighted_metrics,
        output_names=None,
    ):
        arguments = (
            loss,
            loss_weights,
            metrics,
            weighted_metrics,
            output_names,
        )
        self.scorers = [_Scorer(*arguments) for _ in range(num_networks)]
        self.ensemble = _Scorer(*arguments)
        self._kept_back: dict[int, list] = {}
        self.mean_loss = keras.metrics.Mean(name="loss")
        self.distillation_loss = keras.metrics.Mean(name="distillation_loss")
        # Examples that the ensemble was scored on; reset like a metric.
        self._ensemble_examples = keras.metrics.Sum(name="ensemble_examples")
        # Not among `metrics`, since an evaluation would reset them.
        self.trained = keras.metrics.Sum(name="trained_examples")
        self.dropped = keras.metrics.Sum(name="dropped_examples")
        self.network_losses = [
            keras.metrics.Mean(name=f"network_{k}_loss")
            for k in range(num_networks)
        ]

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        return [
            self.mean_loss,
            self.distillation_loss,
            self._ensemble_examples,
            *self.network_losses,
            *(m for s in [*self.scorers, self.ensemble] for m in s.metrics),
        ]

    def build_from(self, y: Any, output: Any, sample_weight: Any) -> None:
        """Creates the metrics' variables in the current strategy's scope.

        Args:
            y: Labels of an example, or a view of them for each network.
            output: What a network gives for it, symbolic.
            sample_weight: Its weights likewise, or None.
        """
        num_networks = len(self.scorers)
        labels = views_of(y, num_networks)[0]
        weights = views_of(sample_weight, num_networks)[0]
        predictions = keras.tree.map_structure(_zeros_like, output)
        several = len(keras.tree.flatten(output)) > 1
        for scorer in [*self.scorers, self.ensemble]:
            # Nothing is counted: a stateless scope drops the updates.
            with keras.StatelessScope():
                # Of several heads, Keras counts each loss for itself.
                if several and scorer is not self.ensemble:
                    scorer.compute_loss(None, labels, predictions, weights)
                scorer.compute_metrics(None, labels, predictions, weights)

    def supervised_loss(
        self, k: int, y: Any, y_pred: tf.Tensor, sample_weight: Any
    ) -> tf.Tensor:
        """The compiled loss of network k, divided by the replica count.

        Of several heads Keras counts the losses at once, which is kept back
        until it is known whether the network is live: see `update_losses`.
        """
        scorer = self.scorers[k]
        counts = _loss_counts(scorer)
        if not counts:
            return scorer.compute_loss(
                y=y, y_pred=y_pred, sample_weight=sample_weight
            )
        with keras.StatelessScope() as scope:
            loss = scorer.compute_loss(
                y=y, y_pred=y_pred, sample_weight=sample_weight
            )
        self._kept_back[k] = [scope.get_current_value(v) for v in counts]
        return loss

    def update_losses(
        self,
        losses: Sequence[tf.Tensor],
        distillation_losses: Sequence[tf.Tensor],
        live: tf.Tensor,
        batch: tf.Tensor,
    ) -> None:
        """Counts a batch in the averages of the live networks.

        Args:
            losses: N finite scalars: what each network minimises.
            distillation_losses: N finite scalars, part of `losses`.
            live: Shape (N,), float32: 1 for a live network, else 0.
            batch: Number of examples, the weight of this batch.
        """
        batch = tf.cast(batch, "float32")
        count = tf.reduce_sum(live)
        some = tf.minimum(count, 1.0)

        def mean(values):
            return tf.reduce_sum(tf.stack(values) * live) / tf.maximum(count, 1)

        self.mean_loss.update_state(mean(losses), batch * some)
        self.distillation_loss.update_state(
            mean(distillation_losses), batch * some
        )
        for k, alive in enumerate(tf.unstack(live > 0)):
            counts = _loss_counts(self.scorers[k])
            new = self._kept_back.pop(k, counts)
            for variable, value in zip(counts, new, strict=True):
                variable.assign(tf.where(alive, value, variable.value))
        counted = tf.unstack(batch * live)
        for k, tracker in enumerate(self.network_losses):
            tracker.update_state(losses[k], counted[k])

    def count_examples(self, size: tf.Tensor, kept: tf.Tensor) -> None:
        """Counts the examples that were trained on, and those left out.

        Args:
            size: Number of examples in a batch.
            kept: Scalar, float32: 1 for a batch that is trained on, else 0.
        """
        size = tf.cast(size, "float32")
        self.trained.update_state(size * kept)
        self.dropped.update_state(size * (1.0 - kept))

    def update_metrics(
        self,
        labels: Sequence,
        predictions: Sequence[tf.Tensor],
        sample_weights: Sequence,
        ensemble: tf.Tensor | None,
    ) -> None:
        """Counts a batch in the compiled metrics.

        Args:
            labels: The labels of each network.
            predictions: N tensors of shape (batch, units).
            sample_weights: N tensors of shape (batch,) or None.
            ensemble: What the ensemble predicts, in the form that a network
                gives; None where the networks saw different labels, so that
                there is none.
        """
        for k, scorer in enumerate(self.scorers):
            scorer.compute_metrics(
                None, labels[k], predictions[k], sample_weights[k]
            )
        if ensemble is not None:
            self.ensemble.compute_metrics(
                None, labels[0], ensemble, sample_weights[0]
            )
            first = keras.tree.flatten(ensemble)[0]
            self._ensemble_examples.update_state(tf.shape(first)[0])

    def results(self, live: tf.Tensor) -> dict:
        """All logs by name.

        Args:
            live: Shape (N,), float32: the networks that means are over (all,
                where none is live).

        Returns:
            Dict of scalars. A network without one counted batch has the loss
            NaN, and so has an ensemble that was not scored.
        """
        live = tf.where(tf.reduce_any(live > 0), live, tf.ones_like(live))
        logs = {
            "loss": _mean_or_nan(self.mean_loss),
            "distillation_loss": _mean_or_nan(self.distillation_loss),
        }
        for tracker in self.network_losses:
            logs[tracker.name] = _mean_or_nan(tracker)
        scores = [_compiled_results(scorer) for scorer in self.scorers]
        ensemble = _compiled_results(self.ensemble)
        scored = self._ensemble_examples.result() > 0
        for name in scores[0]:
            values = tf.stack([tf.cast(s[name], "float32") for s in scores])
            logs[name] = tf.reduce_sum(values * live) / tf.reduce_sum(live)
            for k, score in enumerate(scores):
                logs[f"network_{k}_{name}"] = score[name]
            if name not in ensemble:
                continue  # The loss of a head: an ensemble has none.
            value = tf.cast(ensemble[name], "float32")
            logs[f"ensemble_{name}"] = tf.where(scored, value, float("nan"))
        return logs


def _zeros_like(output):
    return tf.zeros([1, *(size or 1 for size in output.shape[1:])])


def _loss_counts(scorer):
    """The variables of the losses by head, where there are several."""
    return [
        variable
        for metric in scorer.metrics
        # A user's metrics take labels, which a plain mean does not.
        if type(metric) is keras.metrics.Mean and metric.name != "loss"
        for variable in metric.variables
    ]


def _mean_or_nan(tracker):
    value = tracker.total / tracker.count
    return tf.convert_to_tensor(value)


def _compiled_results(scorer):
    results = scorer.get_metrics_result()
    results.pop("loss")  # Keras' own tracker, which nothing updates here.
    return results
