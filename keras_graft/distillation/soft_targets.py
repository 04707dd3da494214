"""A distillation term: every network learns from softened probabilities."""

import math
import numbers
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_graft.distillation.softening import softened_divergence


class SoftTargetDistillation:
    """Base of the terms that differ only in where their targets come from.

    Args:
        temperature: Divides the logits of both sides, above 0. Defaults to
            2.0.
        weight: Factor of the term in the loss: a float, at least 0, or a
            `keras.optimizers.schedules.LearningRateSchedule` of the steps
            that a network's optimizer has taken. A term of weight 0.0 is
            left out of the graph. Defaults to 1.0.
    """

    needs_peers = False
    ready = True

    def __init__(self, temperature=2.0, weight=1.0):
        if not (math.isfinite(temperature) and temperature > 0):
            raise ValueError(
                "`temperature` must be a finite number above 0 (the paper "
                f"uses 2). Received: {temperature}"
            )
        self.temperature = float(temperature)
        self.weight = _checked_weight(weight)

    def targets(
        self,
        inputs: Sequence,
        logits: Sequence[tf.Tensor],
        live: tf.Tensor,
    ) -> tuple[Sequence[tf.Tensor], Sequence]:
        """What each network should predict.

        Args:
            inputs: The batch as each of the N networks sees it.
            logits: N finite tensors of shape (batch, classes), float32.
            live: Shape (N,), float32: 1 for a network that may teach.

        Returns:
            `(targets, present)`: N tensors of probabilities, shape (batch,
            classes), and for each one 1.0, or 0.0 if nobody could teach.
        """
        raise NotImplementedError

    def losses(
        self,
        inputs: Sequence,
        logits: Sequence[tf.Tensor],
        live: tf.Tensor,
        sample_weights: Sequence[tf.Tensor | None],
        iterations: Sequence[tf.Tensor] | None = None,
    ) -> list[tf.Tensor]:
        """The weighted term of each network.

        Args:
            inputs: As for `targets`.
            logits: As for `targets`.
            live: As for `targets`.
            sample_weights: N tensors of shape (batch,) or None.
            iterations: N integer scalars: the steps that each network's
                optimizer has taken, for a weight that is a schedule. A step
                that a network skips does not count.

        Returns:
            N scalar tensors, float32.
        """
        targets, present = self.targets(inputs, logits, live)
        weights = self._weights(iterations, len(logits))
        return [
            weights[k]
            * present[k]
            * softened_divergence(
                targets[k], logits[k], self.temperature, sample_weights[k]
            )
            for k in range(len(logits))
        ]

    def _weights(self, iterations, num_networks):
        if isinstance(self.weight, float):
            return [self.weight] * num_networks
        if iterations is None:
            raise ValueError(
                "A `weight` that is a schedule needs `iterations`, the steps "
                "that each network's optimizer has taken."
            )
        return [tf.cast(self.weight(step), "float32") for step in iterations]

    def get_config(self):
        weight = self.weight
        if not isinstance(weight, float):
            weight = keras.saving.serialize_keras_object(weight)
        return {"temperature": self.temperature, "weight": weight}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "weight": weight_from_config(config)})


def weight_from_config(config: dict) -> Any:
    """The weight that `get_config` wrote: a float or a schedule."""
    weight = config["weight"]
    if isinstance(weight, dict):
        return keras.saving.deserialize_keras_object(weight)
    return weight


def _checked_weight(weight):
    if isinstance(weight, keras.optimizers.schedules.LearningRateSchedule):
        return weight
    is_number = isinstance(weight, numbers.Real)
    if not (is_number and math.isfinite(weight) and weight >= 0):
        raise ValueError(
            "`weight` must be a finite number, at least 0, or a "
            "keras.optimizers.schedules.LearningRateSchedule. Received: "
            f"{weight}"
        )
    return float(weight)
