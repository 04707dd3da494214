"""Loss, metrics and their epoch averages, per network and for the ensemble."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_graft.structure.held_metrics import held_results
from keras_graft.trainer.copies import loss_copies
from keras_graft.trainer.copies import loss_variables
from keras_graft.trainer.losses import has_own_loss
from keras_graft.trainer.scorer import Scorer
from keras_graft.trainer.scorer import compiled_results
from keras_graft.trainer.scorer import counted_by
from keras_graft.trainer.scorer import counted_where
from keras_graft.trainer.scorer import loss_counts
from keras_graft.trainer.views import views_of


@dataclasses.dataclass(frozen=True)
class Counted:
    """Which networks a batch counts for; shape (N,), float32, each.

    Attributes:
        alone: 1 for a network whose own average it is in.
        together: 1 for a network that is in the mean over networks.
        metrics: 1 for a network whose metrics it is in, and for at least one
            where it is in those of the ensemble; None for all.
    """

    alone: tf.Tensor
    together: tf.Tensor
    metrics: tf.Tensor | None = None


class Scoring:
    """What `compile` was told about loss and metrics, for N networks.

    A plain object, so that Keras neither tracks nor saves what it holds.

    Args:
        networks: N models; metrics that they or their layers hold are in the
            logs too.
        loss: As for `keras.Model.compile`; one with variables of its own is
            copied for each network.
        loss_weights: As for `keras.Model.compile`.
        metrics: As for `keras.Model.compile`; each network and the ensemble
            get copies.
        weighted_metrics: Likewise.
    """

    def __init__(self, networks, loss, loss_weights, metrics, weighted_metrics):
        self._networks = list(networks)
        names = getattr(networks[0], "output_names", None)
        others = (loss_weights, metrics, weighted_metrics, names)
        losses = loss_copies(loss, len(networks))
        self.scorers = [Scorer(each, *others) for each in losses]
        self.ensemble = Scorer(loss, *others)
        # By network what its loss keeps from step to step.
        self.loss_variables = [loss_variables(each) for each in losses]
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
            for k in range(len(networks))
        ]

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        return [
            self.mean_loss,
            self.distillation_loss,
            self._ensemble_examples,
            *self.network_losses,
            *(m for s in [*self.scorers, self.ensemble] for m in s.metrics),
            *(m for network in self._networks for m in counted_by(network)),
        ]

    def kept_by_step(self, k: int) -> list[keras.Variable]:
        """What a step of network k changes beside the network itself."""
        held = counted_by(self._networks[k])
        variables = [v for metric in held for v in metric.variables]
        return [*self.loss_variables[k], *variables]

    @property
    def names(self) -> list[str]:
        """Of one network's logs, in the order of Keras' own lists."""
        held = counted_by(self._networks[0])
        of_network = self.scorers[0]
        logs = of_network.get_metrics_result() | held_results([held])[0]
        given = [
            one.name
            for metric in [*of_network.metrics, *held]
            for one in getattr(metric, "metrics", [metric])
        ]
        # Those of several heads have other names in the logs.
        first = [name for name in dict.fromkeys(given) if name in logs]
        return [*first, *sorted(set(logs) - set(first))]

    def build_from(self, y: Any, output: Any, sample_weight: Any) -> None:
        """Creates the metrics' variables in the current strategy's scope.

        Args:
            y: Labels of an example, or a view of them for each network.
            output: What a network gives for it, symbolic.
            sample_weight: Its weights likewise, or None.
        """
        labels = views_of(y, len(self.scorers))[0]
        weights = views_of(sample_weight, len(self.scorers))[0]
        predictions = keras.tree.map_structure(_zeros_like, output)
        several = len(keras.tree.flatten(output)) > 1
        for scorer in [*self.scorers, self.ensemble]:
            # Nothing is counted: a stateless scope drops the updates.
            with keras.StatelessScope():
                # Of several heads, Keras counts each loss for itself.
                if several and scorer is not self.ensemble:
                    scorer.compute_loss(None, labels, predictions, weights)
                scorer.compute_metrics(None, labels, predictions, weights)
        for network in self._networks if several else []:
            if has_own_loss(network):
                with keras.StatelessScope():
                    keras.Model.compute_loss(
                        network, None, labels, predictions, weights
                    )

    @property
    def is_built(self) -> bool:
        """Whether the names of all logs are known."""
        return all(getattr(m, "built", True) for m in self.scorers[0].metrics)

    def compared(self) -> list[str]:
        """The logs that each network has a single value of: `"loss"`, ...."""
        ones = tf.ones([len(self.scorers)])
        own = "network_0_"
        return [
            name.removeprefix(own)
            for name, value in self.results(ones, 1.0 - ones).items()
            if name.startswith(own) and value.shape.rank == 0
        ]

    def compiled_metrics(self) -> list[keras.metrics.Metric]:
        """The metrics of the first network, as Keras has made them."""
        groups = self.scorers[0].metrics
        compiled = [m for g in groups for m in getattr(g, "metrics", [])]
        return [*compiled, *counted_by(self._networks[0])]

    def supervised_loss(
        self, k: int, y: Any, y_pred: tf.Tensor, sample_weight: Any
    ) -> tf.Tensor:
        """The compiled loss of network k, divided by the replica count.

        Of several heads Keras counts the losses at once, which is kept back
        until it is known whether the network is live: see `update_losses`.
        """
        scorer = self.scorers[k]
        counts = loss_counts(scorer)
        if not counts:
            return scorer.compute_loss(
                y=y, y_pred=y_pred, sample_weight=sample_weight
            )
        with keras.StatelessScope() as scope:
            loss = scorer.compute_loss(
                y=y, y_pred=y_pred, sample_weight=sample_weight
            )
        self._kept_back[k] = [scope.get_current_value(v) for v in counts]
        for variable in self.loss_variables[k]:
            value = scope.get_current_value(variable)
            if value is not None:
                variable.assign(value)
        return loss

    def update_losses(
        self,
        losses: Sequence[tf.Tensor],
        distillation_losses: Sequence[tf.Tensor],
        counted: Counted,
        batch: tf.Tensor,
    ) -> None:
        """Counts a batch in the averages of the networks.

        Args:
            losses: N scalars: what each network minimises; 0 for a network
                that it does not count for.
            distillation_losses: N scalars, part of `losses`.
            counted: Which networks it counts for.
            batch: Number of examples, the weight of this batch.
        """
        batch = tf.cast(batch, "float32")
        there = tf.unstack(counted.together > 0)
        count = tf.reduce_sum(counted.together)
        some = tf.minimum(count, 1.0)

        def mean(values):
            # 0 times NaN is NaN.
            found = [
                tf.where(is_there, value, 0.0)
                for is_there, value in zip(there, values, strict=True)
            ]
            total = tf.add_n(found)
            return total / tf.cast(tf.maximum(count, 1), total.dtype)

        self.mean_loss.update_state(mean(losses), batch * some)
        self.distillation_loss.update_state(
            mean(distillation_losses), batch * some
        )
        for k, alive in enumerate(tf.unstack(counted.alone > 0)):
            counts = loss_counts(self.scorers[k])
            new = self._kept_back.pop(k, counts)
            for variable, value in zip(counts, new, strict=True):
                variable.assign(tf.where(alive, value, variable.value))
        weights = tf.unstack(batch * counted.alone)
        for k, tracker in enumerate(self.network_losses):
            tracker.update_state(losses[k], weights[k])

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
        counted: tf.Tensor | None,
    ) -> None:
        """Counts a batch in the compiled metrics.

        Args:
            labels: The labels of each network.
            predictions: N tensors of shape (batch, units).
            sample_weights: N tensors of shape (batch,) or None.
            ensemble: What the ensemble predicts, in the form that a network
                gives; None where the networks saw different labels, so that
                there is none.
            counted: As `Counted.metrics`.
        """
        of_networks = None if counted is None else tf.unstack(counted)
        for k, scorer in enumerate(self.scorers):
            with counted_where(scorer, of_networks and of_networks[k]):
                scorer.compute_metrics(
                    None, labels[k], predictions[k], sample_weights[k]
                )
        if ensemble is not None:
            some = None if counted is None else tf.reduce_max(counted)
            with counted_where(self.ensemble, some):
                self.ensemble.compute_metrics(
                    None, labels[0], ensemble, sample_weights[0]
                )
            first = keras.tree.flatten(ensemble)[0]
            size = tf.cast(tf.shape(first)[0], "float32")
            self._ensemble_examples.update_state(
                size if some is None else size * some
            )

    def results(self, live: tf.Tensor, lost: tf.Tensor) -> dict:
        """All logs by name.

        Args:
            live: Shape (N,), float32: the networks that means are over (all
                that were scored, where none is live).
            lost: Shape (N,), float32: 1 for a network whose metrics tell
                nothing.

        Returns:
            Dict of scalars, and of vectors where a metric's result is one
            (`F1Score(average=None)`). NaN for a network without one counted
            batch and for an ensemble that was not scored. A network that is
            lost, or not live and of a loss that is NaN, has metrics of NaN:
            what Keras counts of predictions that are NaN is a number, of no
            meaning.
        """
        logs = {
            "loss": _mean_or_nan(self.mean_loss),
            "distillation_loss": _mean_or_nan(self.distillation_loss),
        }
        for tracker in self.network_losses:
            logs[tracker.name] = _mean_or_nan(tracker)
        held = held_results([counted_by(n) for n in self._networks])
        scores = [
            compiled_results(scorer) | of_network
            for scorer, of_network in zip(self.scorers, held, strict=True)
        ]
        ensemble = compiled_results(self.ensemble)
        scored = self._ensemble_examples.result() > 0
        of_networks = tf.stack([logs[t.name] for t in self.network_losses])
        told = tf.stack([t.count > 0 for t in self.network_losses])
        told &= (lost == 0) & ((live > 0) | tf.math.is_finite(of_networks))
        among = told & (live > 0)
        among = tf.where(tf.reduce_any(among), among, told)
        for name in dict.fromkeys(name for score in scores for name in score):
            of_name = {k: s[name] for k, s in enumerate(scores) if name in s}
            if len(of_name) == len(scores):
                logs[name] = _mean_over(among, list(of_name.values()))
            for k, score in of_name.items():
                logs[f"network_{k}_{name}"] = _or_nan(told[k], score)
            if name in ensemble:  # It has no losses of heads.
                logs[f"ensemble_{name}"] = _or_nan(scored, ensemble[name])
        return logs


def _zeros_like(output):
    return tf.zeros([1, *(size or 1 for size in output.shape[1:])])


def _mean_over(among, results):
    """The mean of the networks' results, by class where they are vectors."""
    found = tf.stack(results)
    if not found.dtype.is_floating:
        found = tf.cast(found, "float32")
    alike = [-1, *[1] * (found.shape.rank - 1)]
    nothing = tf.zeros([], found.dtype)
    kept = tf.where(tf.reshape(among, alike), found, nothing)
    count = tf.reduce_sum(tf.cast(among, found.dtype))
    return tf.reduce_sum(kept, axis=0) / count


def _or_nan(told, value):
    value = tf.convert_to_tensor(value)
    if not value.dtype.is_floating:
        value = tf.cast(value, "float32")
    return tf.where(told, value, tf.cast(float("nan"), value.dtype))


def _mean_or_nan(tracker):
    value = tracker.total / tracker.count
    return tf.convert_to_tensor(value)
