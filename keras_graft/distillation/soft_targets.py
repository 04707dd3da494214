"""A distillation term: every network learns from softened probabilities."""

import math
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from keras_graft.distillation.softening import softened_divergence
from keras_graft.distillation.term import DistillationTerm


class SoftTargetDistillation(DistillationTerm):
    """Base of the terms that differ only in where their targets come from.

    Args:
        temperature: Divides the logits of both sides, above 0. Defaults to
            2.0.
        weight: Factor of the term in the loss: a float, at least 0, or a
            `keras.optimizers.schedules.LearningRateSchedule` of the steps
            that a network's optimizer has taken. A term of weight 0.0 is
            left out of the graph. Defaults to 1.0.
    """

    def __init__(self, temperature: float = 2.0, weight: Any = 1.0) -> None:
        super().__init__(weight=weight)
        if not (math.isfinite(temperature) and temperature > 0):
            raise ValueError(
                "`temperature` must be a finite number above 0 (the paper "
                f"uses 2). Received: {temperature}"
            )
        self.temperature = float(temperature)

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

    def losses(self, given):
        logits = given.logits
        targets, present = self.targets(given.inputs, logits, given.live)
        weights = self.weights(given.iterations, len(logits))
        return [
            weights[k]
            * present[k]
            * softened_divergence(
                targets[k], logits[k], self.temperature, given.sample_weights[k]
            )
            for k in range(len(logits))
        ]

    def get_config(self):
        return {"temperature": self.temperature, **super().get_config()}
