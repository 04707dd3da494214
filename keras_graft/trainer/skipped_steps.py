"""Which steps left a network as it was, how many of them, and why."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_graft.distribution.replicas import finite_each

# What a step looks at, in the order in which one thing spoils the next.
CAUSES = (
    "the inputs of the batch",
    "the labels of the batch",
    "the sample weights of the batch",
    "its predictions",
    "its distillation term",
    "its loss",
    "its gradients at the loss scale of that step",
    "its update",
)
_OVERFLOW = 6

# The rows of what is counted, each with an entry for every network.
_STEPS, _SKIPPED, _FIRST, _CAUSE, _OVERFLOWS = range(5)


class SkippedSteps:
    """Counts the steps of an epoch that were skipped, network by network.

    A plain object: what it counts is in the logs of the epoch, so neither a
    checkpoint nor a saved trainer needs it.

    Args:
        num_networks: N. The strategy's scope must be the current one.
    """

    def __init__(self, num_networks: int):
        self._counts = keras.Variable(
            tf.zeros([5, num_networks]),
            trainable=False,
            dtype="float32",
            autocast=False,
            # Every replica writes the same values.
            aggregation="only_first_replica",
            name="skipped_steps",
        )

    def reset(self) -> None:
        """Begins to count anew."""
        self._counts.assign(tf.zeros_like(self._counts.value))

    def record(self, taken: Sequence[tf.Tensor], counts: tf.Tensor) -> None:
        """Counts a step.

        Args:
            taken: What `causes` are finite, in their order: tensors of shape
                (N,), float32, 1 for what is finite and else 0. The last one
                is 0 for every network that was left as it was.
            counts: Shape (N,), float32: 0 for a network that had no part in
                this step, since it is retired or the batch was left out.
        """
        before = tf.unstack(self._counts.value)
        steps = before[_STEPS] + counts
        skipped = (1.0 - taken[-1]) * counts
        # The first of them that is 0.
        cause = tf.argmin(tf.stack(taken), output_type="int32")
        overflows = skipped * tf.cast(cause == _OVERFLOW, "float32")
        others = before[_SKIPPED] - before[_OVERFLOWS]
        first = (skipped > overflows) & (others == 0)
        self._counts.assign(
            tf.stack(
                [
                    steps,
                    before[_SKIPPED] + skipped,
                    tf.where(first, steps, before[_FIRST]),
                    tf.where(first, tf.cast(cause, "float32"), before[_CAUSE]),
                    before[_OVERFLOWS] + overflows,
                ]
            )
        )

    def counted(self) -> list["Skipped"]:
        """What was counted since `reset`, for each network."""
        values = keras.ops.convert_to_numpy(self._counts)
        return [Skipped(*map(int, column)) for column in values.T]


@dataclasses.dataclass(frozen=True)
class Skipped:
    """What a network skipped in an epoch.

    Attributes:
        steps: Steps that it was to take part in.
        count: Those that it skipped.
        first: The first of them that is no overflow, counted from 1; 0 for
            none.
        cause: What was not finite in that one, an index of `CAUSES`.
        overflows: Skipped steps in which a loss scale was too high, as it
            has to be now and then.
    """

    steps: int
    count: int
    first: int
    cause: int
    overflows: int

    @property
    def why(self) -> str:
        """What was not finite in the first one, in words."""
        return CAUSES[self.cause if self.first else _OVERFLOW]

    @property
    def all(self) -> bool:
        """Whether the network was to take steps and took none."""
        return 0 < self.steps == self.count


def first_named(skipped: Sequence[Skipped], epoch: int) -> str | None:
    """One line on the first step that was skipped in an epoch.

    Args:
        skipped: Of each network.
        epoch: Counted from 0.

    Returns:
        The line, or None if no step was, but for overflows.
    """
    found = {k: one for k, one in enumerate(skipped) if one.first}
    if not found:
        return None
    first = min(found.values(), key=lambda one: one.first)
    alike = [
        f"network_{k}"
        for k, one in found.items()
        if (one.first, one.cause) == (first.first, first.cause)
    ]
    return (
        f"{' and '.join(alike)} skipped step {first.first} of epoch {epoch}: "
        f"{first.why} had NaN or infinity in it. The logs "
        "`network_k_skipped_steps` count such steps."
    )


def finite_parts(batch: Any, outputs: Sequence, distillation: Sequence) -> list:
    """Which parts of a step are finite.

    Args:
        batch: A `Batch`.
        outputs: What the N networks make of it.
        distillation: N scalars.

    Returns:
        Inputs, labels, sample weights, predictions and distillation terms: a
        tensor each, shape (N,), float32, equal on every replica.
    """
    parts = (batch.inputs, batch.labels, batch.weights, outputs, distillation)
    found = finite_each([one for part in parts for one in part])
    return tf.split(found, len(parts))
