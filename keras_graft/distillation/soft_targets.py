"""A distillation term: every network learns from softened probabilities."""

import math
from collections.abc import Sequence

import tensorflow as tf

from keras_graft.distillation.softening import softened_divergence


class SoftTargetDistillation:
    """Base of the terms that differ only in where their targets come from.

    Args:
        temperature: Divides the logits of both sides, above 0. Defaults to
            2.0.
        weight: Factor of the term in the loss, at least 0. A term of weight
            0 is left out of the graph. Defaults to 1.0.
    """

    needs_peers = False
    ready = True

    def __init__(self, temperature=2.0, weight=1.0):
        if not (math.isfinite(temperature) and temperature > 0):
            raise ValueError(
                "`temperature` must be a finite number above 0 (the paper "
                f"uses 2). Received: {temperature}"
            )
        if not (math.isfinite(weight) and weight >= 0):
            raise ValueError(
                "`weight` must be a finite number, at least 0. Received: "
                f"{weight}"
            )
        self.temperature = float(temperature)
        self.weight = float(weight)

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
    ) -> list[tf.Tensor]:
        """The weighted term of each network.

        Args:
            inputs: As for `targets`.
            logits: As for `targets`.
            live: As for `targets`.
            sample_weights: N tensors of shape (batch,) or None.

        Returns:
            N scalar tensors, float32.
        """
        targets, present = self.targets(inputs, logits, live)
        return [
            self.weight
            * present[k]
            * softened_divergence(
                targets[k], logits[k], self.temperature, sample_weights[k]
            )
            for k in range(len(logits))
        ]

    def get_config(self):
        return {"temperature": self.temperature, "weight": self.weight}

    @classmethod
    def from_config(cls, config):
        return cls(**config)
