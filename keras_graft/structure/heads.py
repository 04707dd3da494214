"""What an output of a network means: classes, labels or values.

A *head* is one output. Its kind says how the outputs of several networks are
averaged, and how far two of them are apart.
"""

import dataclasses
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

CLASS_LOGITS = "class_logits"
CLASS_PROBABILITIES = "class_probabilities"
BINARY_LOGITS = "binary_logits"
BINARY_PROBABILITIES = "binary_probabilities"
LABEL_LOGITS = "label_logits"
LABEL_PROBABILITIES = "label_probabilities"
REGRESSION = "regression"
EMBEDDING = "embedding"

# Kind -> what it is, for messages.
KINDS = {
    CLASS_LOGITS: "logits of classes, the last axis one for each",
    CLASS_PROBABILITIES: "probabilities of classes, of a softmax",
    BINARY_LOGITS: "the logit of one class against none",
    BINARY_PROBABILITIES: "its probability, of a sigmoid",
    LABEL_LOGITS: "logits of labels that do not exclude each other",
    LABEL_PROBABILITIES: "their probabilities, of sigmoids",
    REGRESSION: "values as they are",
    EMBEDDING: "a vector as it is",
}
_CLASSES = (CLASS_LOGITS, CLASS_PROBABILITIES)
_VALUES = (REGRESSION, EMBEDDING)


@dataclasses.dataclass(frozen=True)
class Head:
    """One output of a network.

    Attributes:
        name: As in the logs and in a dict of outputs.
        kind: One of `KINDS`. Classes are along the last axis, whatever the
            rank: per image, per pixel, per step.
    """

    name: str
    kind: str

    @property
    def from_logits(self) -> bool:
        """Whether the network gives logits."""
        return self.kind.endswith("_logits")

    @property
    def has_classes(self) -> bool:
        """Whether one of several classes is right."""
        return self.kind in _CLASSES

    @property
    def has_values(self) -> bool:
        """Whether it gives numbers that are no probabilities."""
        return self.kind in _VALUES

    def logits(self, output: tf.Tensor) -> tf.Tensor:
        """Float32 logits of what a network predicts; values as they are.

        Args:
            output: What the network gives, shape (batch, ...).
        """
        output = tf.cast(output, "float32")
        return output if self.from_logits else self._to_logits(output)

    def probabilities(self, output: tf.Tensor) -> tf.Tensor:
        """Float32 probabilities of what a network predicts; values as is.

        Args:
            output: What the network gives, shape (batch, ...).
        """
        output = tf.cast(output, "float32")
        if not self.from_logits:
            return output
        return self.activate(output)

    def activate(self, logits: tf.Tensor) -> tf.Tensor:
        """Probabilities of logits; values as they are."""
        if self.has_values:
            return logits
        return tf.nn.softmax(logits) if self.has_classes else tf.sigmoid(logits)

    def like_outputs(self, probabilities: tf.Tensor) -> tf.Tensor:
        """Probabilities in the form that the network gives, for metrics."""
        if self.from_logits:
            return self._to_logits(probabilities)
        return probabilities

    def _to_logits(self, probabilities):
        if self.has_values:
            return probabilities
        epsilon = keras.config.epsilon()
        if self.has_classes:
            return tf.math.log(tf.maximum(probabilities, epsilon))
        p = tf.clip_by_value(probabilities, epsilon, 1.0 - epsilon)
        return tf.math.log(p / (1.0 - p))


def check_kind(kind: Any, name: str) -> None:
    """Refuses what is no kind of head.

    Args:
        kind: What a user gave.
        name: Name of the head, for the error.

    Raises:
        ValueError: With the kinds that there are.
    """
    if kind not in KINDS:
        listed = "".join(f"\n  {k!r}: {KINDS[k]}" for k in KINDS)
        raise ValueError(
            f"The kind of the output '{name}' must be one of:{listed}\n"
            f"Received: {kind!r}"
        )


def mean_outputs(
    outputs: Sequence[Any], live: tf.Tensor, heads: Sequence[Head]
) -> Any:
    """The ensemble: the mean of the live networks' probabilities.

    Of heads with values it is the mean of the values.

    Args:
        outputs: What N networks give: tensors of shape (batch, ...), or one
            and the same structure of them each.
        live: Shape (N,), float32; if none is live, all count.
        heads: A head for each tensor of a structure, in `keras.tree` order.

    Returns:
        Like one of `outputs`, float32.
    """
    live = tf.where(tf.reduce_any(live > 0), live, tf.ones_like(live))
    alive = tf.unstack(live > 0)
    flat = [keras.tree.flatten(of_network) for of_network in outputs]
    means = [
        tf.add_n(
            [
                tf.where(there, head.probabilities(of_network[i]), 0.0)
                for there, of_network in zip(alive, flat, strict=True)
            ]
        )
        / tf.reduce_sum(live)
        for i, head in enumerate(heads)
    ]
    return keras.tree.pack_sequence_as(outputs[0], means)


def map_heads(
    function: Callable[[Head, tf.Tensor], tf.Tensor],
    outputs: Any,
    heads: Sequence[Head],
) -> Any:
    """A structure of outputs, each tensor changed as its head says."""
    flat = [
        function(head, tensor)
        for head, tensor in zip(heads, keras.tree.flatten(outputs), strict=True)
    ]
    return keras.tree.pack_sequence_as(outputs, flat)
