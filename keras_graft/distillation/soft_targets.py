"""A distillation term: every network learns from softened probabilities."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from keras_graft.checks.numbers import is_number
from keras_graft.distillation.softening import head_divergence
from keras_graft.distillation.term import DistillationInputs
from keras_graft.distillation.term import DistillationTerm
from keras_graft.distillation.term import checked_factor
from keras_graft.structure.heads import REGRESSION
from keras_graft.structure.heads import Head

# Their squares are the least and the largest numbers of float32.
_TINY = 1.1e-19
_HUGE = 1.8e19


class SoftTargetDistillation(DistillationTerm):
    """Base of the terms that differ only in where their targets come from.

    Args:
        temperature: Divides the logits of both sides, above 0. Defaults to
            2.0.
        weight: Factor of the term in the loss: a float, at least 0, or a
            `keras.optimizers.schedules.LearningRateSchedule` of the steps
            that a network's optimizer has taken. A term of weight 0.0 is
            left out of the graph. Defaults to 1.0.
        head_weights: Dict of factors by head, each a float, at least 0; heads
            that it does not name are left out. None: 1.0 for every head of
            classes or labels. Defaults to None.
        regression: Whether heads with values learn too, by the mean squared
            difference. Defaults to False.
    """

    def __init__(
        self,
        temperature: float = 2.0,
        weight: Any = 1.0,
        head_weights: dict[str, float] | None = None,
        regression: bool = False,
    ) -> None:
        super().__init__(weight=weight)
        if not (is_number(temperature) and temperature > 0):
            raise ValueError(
                "`temperature` must be a finite number above 0 (the paper "
                f"uses 2). Received: {temperature!r}"
            )
        if not _TINY <= temperature <= _HUGE:
            raise ValueError(
                "`temperature` and its square, by which the term is "
                f"multiplied, must be numbers that float32 holds: from {_TINY} "
                f"to {_HUGE}. Received: {temperature}"
            )
        if isinstance(self.weight, float) and self.weight * temperature > (
            _HUGE**2 / temperature
        ):
            raise ValueError(
                "`weight` times the square of `temperature` leaves float32: "
                f"lower one of them. Received: weight={weight}, "
                f"temperature={temperature}"
            )
        self.temperature = float(temperature)
        for name, factor in (head_weights or {}).items():
            checked_factor(factor, f"head_weights['{name}']")
        self.head_weights = dict(head_weights) if head_weights else None
        self.regression = bool(regression)

    def check_heads(self, heads):
        names = [head.name for head in heads]
        unknown = sorted(set(self.head_weights or ()) - set(names))
        if unknown:
            raise ValueError(
                f"`head_weights` names outputs that the networks do not have: "
                f"{unknown}. Their outputs: {names}."
            )
        if not any(self._weight_of(head) for head in heads):
            kinds = ", ".join(f"'{h.name}' is {h.kind}" for h in heads)
            raise ValueError(
                "Distillation finds nothing to teach: of the networks' "
                f"outputs, {kinds}. Probabilities are taught unasked; give "
                "regression=True for values, or head_weights for heads by "
                "name, or distillation=None."
            )

    def _weight_of(self, head: Head) -> float:
        if self.head_weights is not None:
            return float(self.head_weights.get(head.name, 0.0))
        if head.has_values:
            return float(self.regression and head.kind == REGRESSION)
        return 1.0

    def prepared(self, given: DistillationInputs) -> Any:
        """What `targets` needs for all heads at once, computed once."""
        return given

    def targets(
        self, prepared: Any, i: int, head: Head
    ) -> tuple[Sequence[tf.Tensor], Sequence]:
        """What each network should predict at a head.

        Args:
            prepared: What `prepared` returned.
            i: The head's position.
            head: What it means.

        Returns:
            `(targets, present)`: N tensors of probabilities at the
            temperature, or of values, and for each one 1.0, or 0.0 if nobody
            could teach.
        """
        raise NotImplementedError

    def losses(self, given):
        prepared = self.prepared(given)
        found = [
            self._losses_of_head(given, prepared, i, head)
            for i, head in enumerate(given.heads)
            if self._weight_of(head)
        ]
        weights = self.weights(given.iterations, len(given.logits))
        return [
            weights[k] * (own[0] if len(own) == 1 else tf.add_n(own))
            for k, own in enumerate(zip(*found, strict=True))
        ]

    def _losses_of_head(self, given, prepared, i, head):
        targets, present = self.targets(prepared, i, head)
        weight = self._weight_of(head)
        return [
            weight
            * present[k]
            * head_divergence(
                head,
                targets[k],
                logits,
                self.temperature,
                given.weights_of_head(i, k),
                given.mask_of_head(i),
            )
            for k, logits in enumerate(given.of_head(i))
        ]

    def get_config(self):
        return {
            "temperature": self.temperature,
            "head_weights": self.head_weights,
            "regression": self.regression,
            **super().get_config(),
        }
