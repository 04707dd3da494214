"""Each network learns from its peers' inner layers."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_graft.distillation.term import DistillationTerm


class FeatureTaps:
    """Calls networks so that the outputs of inner layers come out too.

    The networks run once: a second model around the same layers, with more
    outputs, is called in their place.

    Args:
        networks: N functional or sequential models.
        names: Names of the layers.
        outputs: What a network gives, where that is no single tensor.

    Raises:
        ValueError: If a network has no such layer, or no graph.
    """

    def __init__(
        self,
        networks: Sequence[keras.Model],
        names: Sequence[str],
        outputs: Any = None,
    ):
        self._names = sorted(set(names))
        self._like = outputs
        self._models = [
            self._tapped(network, f"network_{k}")
            for k, network in enumerate(networks)
        ]

    def _tapped(self, network, name):
        if getattr(network, "outputs", None) is None:
            raise ValueError(
                "Inner layers can be seen in functional and sequential "
                f"models only. {name} is subclassed."
            )
        known = [layer.name for layer in network.layers]
        missing = [layer for layer in self._names if layer not in known]
        if missing:
            raise ValueError(
                f"{name} has no layer {missing}. Its layers: {known}."
            )
        sequential = isinstance(network, keras.Sequential)
        return keras.Model(
            network.inputs[0] if sequential else network.input,
            [
                *network.outputs,
                *(network.get_layer(layer).output for layer in self._names),
            ],
            name=name,
        )

    def __call__(
        self, k: int, x: Any, training: bool
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """What network k predicts, and its features by layer."""
        found = self._models[k](x, training=training)
        outputs, features = (
            found[: -len(self._names)],
            found[-len(self._names) :],
        )
        if keras.tree.is_nested(self._like):
            outputs = keras.tree.pack_sequence_as(self._like, outputs)
        else:
            (outputs,) = outputs
        return outputs, dict(zip(self._names, features, strict=True))


@keras.saving.register_keras_serializable(package="keras_graft")
class PeerFeatureDistillation(DistillationTerm):
    """Pulls the features of each network towards those of its peers.

    The term of network k is `weight` times the mean over its live peers of
    Keras' `FeatureDistillation`, the peer as its teacher, with no gradient
    into the peer. The networks must be functional or sequential, see the
    same examples, and run once. Sample weights are not looked at: Keras'
    loss takes the mean itself.

    Args:
        loss: A `keras.distillation.FeatureDistillation` with both layer
            names, of layers that the networks themselves list.
        weight: Factor of the term in the loss: a float, at least 0, or a
            `keras.optimizers.schedules.LearningRateSchedule` of the steps
            that a network's optimizer has taken. Defaults to 1.0.

    Example:

    ```python
    term = keras_graft.distillation.PeerFeatureDistillation(
        keras.distillation.FeatureDistillation(
            loss="mse", teacher_layer_name="pool", student_layer_name="pool"
        )
    )
    trainer = keras_graft.GraftTrainer(networks, distillation=term)
    ```
    """

    needs_peers = True

    def __init__(self, loss: Any, weight: Any = 1.0) -> None:
        super().__init__(weight=weight)
        if not isinstance(loss, keras.distillation.FeatureDistillation):
            raise ValueError(
                "`loss` must be a keras.distillation.FeatureDistillation. "
                f"Received: {loss!r}"
            )
        if not (loss.teacher_layer_name and loss.student_layer_name):
            raise ValueError(
                "`loss` must name both layers, `teacher_layer_name` and "
                "`student_layer_name`; for the outputs of the networks use "
                "MutualDistillation."
            )
        self.loss = loss

    @property
    def feature_layers(self):
        return (self.loss.teacher_layer_name, self.loss.student_layer_name)

    def losses(self, given):
        live = given.live
        taught, learned = self.feature_layers
        # Zeros for a network that is not live: 0 times NaN is NaN.
        teachers, students = (
            [
                _where_live(found[name], live[k])
                for k, found in enumerate(given.features)
            ]
            for name in (taught, learned)
        )
        weights = self.weights(given.iterations, len(students))
        found = []
        for k, student in enumerate(students):
            peers = [j for j in range(len(students)) if j != k]
            total = tf.add_n(
                [
                    live[j]
                    * self.loss.compute_loss(
                        tf.stop_gradient(teachers[j]), student
                    )
                    for j in peers
                ]
            )
            count = tf.add_n([live[j] for j in peers])
            found.append(weights[k] * total / tf.maximum(count, 1.0))
        shares = _shares_in(self.loss.loss)
        return [shares * loss for loss in found]

    def get_config(self):
        loss = keras.saving.serialize_keras_object(self.loss)
        return {"loss": loss, **super().get_config()}

    @classmethod
    def from_config(cls, config):
        loss = keras.saving.deserialize_keras_object(config["loss"])
        return super().from_config({**config, "loss": loss})


def _shares_in(loss):
    """Into how many shares a loss was divided: the trainer divides too.

    A `keras.losses.Loss` that reduces gives the share of its replica.
    """
    reduction = getattr(loss, "reduction", None)
    if not isinstance(loss, keras.losses.Loss) or reduction in (None, "none"):
        return 1
    return tf.distribute.get_strategy().num_replicas_in_sync


def _where_live(features, live):
    features = tf.cast(features, "float32")
    return tf.where(live > 0, features, tf.zeros_like(features))
