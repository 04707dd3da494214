"""What every distillation term has: a weight, constant or with a course."""

import dataclasses
import math
import numbers
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_graft.structure.heads import CLASS_LOGITS
from keras_graft.structure.heads import Head

# Below, float32 loses digits, and on many devices the number is 0.
_TINY = 1.2e-38
_HUGE = 3.4e38


@dataclasses.dataclass(frozen=True)
class DistillationInputs:
    """What a distillation term may look at in a step.

    Attributes:
        inputs: The batch as each of the N networks sees it.
        logits: What each of the N networks made of it, finite, float32: a
            tensor for a single head, shape (batch, ..., classes), or a list
            with one for each head. Values, where a head has values.
        live: Shape (N,), float32: 1 for a network that may teach.
        sample_weights: N tensors of shape (batch,) or None.
        iterations: N integer scalars: the steps that each network's
            optimizer has taken, for a weight that is a schedule. A step that
            a network skips does not count. None where no weight needs them.
        features: For each network the outputs of `feature_layers`, by name,
            not necessarily finite. None where no term looks at them.
        heads: What the outputs mean; by default one of class logits.
        masks: For each head the mask of its output, or None.
    """

    inputs: Sequence
    logits: Sequence[tf.Tensor]
    live: tf.Tensor
    sample_weights: Sequence[tf.Tensor | None]
    iterations: Sequence[tf.Tensor] | None = None
    features: Sequence[dict[str, tf.Tensor]] | None = None
    heads: Sequence[Head] = (Head("output", CLASS_LOGITS),)
    masks: Sequence[tf.Tensor | None] | None = None

    def of_head(self, i: int) -> list[tf.Tensor]:
        """What each network made of head i: N tensors."""
        return [
            own[i] if isinstance(own, list | tuple) else own
            for own in self.logits
        ]

    def weights_of_head(self, i: int, k: int) -> tf.Tensor | None:
        """The sample weights of head i for network k."""
        flat = keras.tree.flatten(self.sample_weights[k])
        return flat[i] if len(flat) == len(self.heads) else flat[0]

    def mask_of_head(self, i: int) -> tf.Tensor | None:
        """The mask of head i."""
        return self.masks[i] if self.masks else None


class DistillationTerm:
    """Base of what networks learn beside the labels.

    Args:
        weight: Factor of the term in the loss: a float, at least 0, or a
            `keras.optimizers.schedules.LearningRateSchedule` of the steps
            that a network's optimizer has taken. A term of weight 0.0 is
            left out of the graph. Defaults to 1.0.

    Attributes:
        needs_peers: Whether it means nothing for a single network.
        ready: Whether it has all that it needs to train.
        feature_layers: Names of layers whose outputs `losses` is given.
    """

    needs_peers = False
    ready = True
    feature_layers: tuple[str, ...] = ()

    def __init__(self, weight: Any = 1.0) -> None:
        self.weight = _checked_weight(weight)

    def losses(self, given: DistillationInputs) -> list[tf.Tensor]:
        """The weighted term of each network.

        Args:
            given: What the networks saw and made of it.

        Returns:
            N scalar tensors, float32.
        """
        raise NotImplementedError

    def check_heads(self, heads: Sequence[Head]) -> None:
        """Refuses outputs that the term cannot teach, before the first step.

        Args:
            heads: What the networks' outputs mean.

        Raises:
            ValueError: Naming the head.
        """
        del heads  # A term may look at no output.

    def check(self) -> None:
        """Refuses what nothing can be learned from, before training.

        Raises:
            ValueError: Naming it.
        """
        if isinstance(self.weight, float):
            return
        first = float(keras.ops.convert_to_numpy(self.weight(0)))
        if not math.isfinite(first):
            raise ValueError(
                f"`weight` is a schedule that gives {first} in the first step. "
                "It must give finite numbers."
            )

    def weights(
        self, iterations: Sequence[tf.Tensor] | None, num_networks: int
    ) -> list:
        """The weight for each network in this step.

        Args:
            iterations: As in `DistillationInputs`.
            num_networks: N.

        Raises:
            ValueError: If the weight is a schedule and there are no
                `iterations`.
        """
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
        return {"weight": weight}

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
    return checked_factor(
        weight,
        "weight",
        ", or a keras.optimizers.schedules.LearningRateSchedule",
    )


def checked_factor(factor: Any, name: str, otherwise: str = "") -> float:
    """Refuses what can be no factor of a term in float32.

    Args:
        factor: What was given.
        name: Of the argument, for the error.
        otherwise: What else it may be, for the error.

    Raises:
        ValueError: If it is no number, below 0, or leaves float32.
    """
    is_number = isinstance(factor, numbers.Real)
    if not (is_number and math.isfinite(factor) and factor >= 0):
        raise ValueError(
            f"`{name}` must be a finite number, at least 0{otherwise}. "
            f"Received: {factor}"
        )
    if factor and not _TINY <= float(factor) <= _HUGE:
        raise ValueError(
            f"`{name}` must be 0 or a number that float32 holds, from {_TINY} "
            f"to {_HUGE}. Received: {factor}"
        )
    return float(factor)
