"""What the shipped network says to the test images, and how right it is."""

import dataclasses
from typing import Any
from typing import NamedTuple

import numpy as np

from keras_graft.data.splits import Split

# Images that a person is shown, of each kind.
SHOWN = 12
_BATCH = 256
_BINS = 15


class Bin(NamedTuple):
    """The answers whose confidence is in one interval.

    Attributes:
        count: How many.
        confidence: Their mean confidence, in [0, 1].
        accuracy: Share of them that is right.
    """

    count: int
    confidence: float
    accuracy: float


class Confusion(NamedTuple):
    """Images of one class that were taken for another.

    Attributes:
        true: The class.
        answered: The other one.
        count: How many images.
        share: Of the images of the class, in [0, 1].
    """

    true: int
    answered: int
    count: int
    share: float


@dataclasses.dataclass(frozen=True, eq=False)
class Answers:
    """The answers to n images.

    Args:
        images: The images, indexed like an array, uint8.
        labels: Their classes, int, shape [n].
        predicted: The classes of largest probability, int, shape [n].
        confidence: These probabilities, float, shape [n].
        num_classes: Number of classes.
    """

    images: Any
    labels: np.ndarray
    predicted: np.ndarray
    confidence: np.ndarray
    num_classes: int

    @property
    def right(self) -> np.ndarray:
        """Whether each answer is right, shape [n]."""
        return self.predicted == self.labels

    def samples(self) -> np.ndarray:
        """Positions of images as they come, spread over all of them."""
        count = min(SHOWN, len(self.labels))
        # From the middles, since images are often sorted by class.
        return (2 * np.arange(count) + 1) * len(self.labels) // (2 * count)

    def worst(self) -> np.ndarray:
        """Positions of the wrong answers of the highest confidence."""
        wrong = np.flatnonzero(~self.right)
        order = np.argsort(-self.confidence[wrong], kind="stable")
        return wrong[order][:SHOWN]

    def confusion_matrix(self) -> np.ndarray:
        """Images by true class (rows) and answer (columns), int."""
        shape = (self.num_classes, self.num_classes)
        found = np.zeros(shape, int)
        np.add.at(found, (self.labels, self.predicted), 1)
        return found

    def confusions(self) -> list[Confusion]:
        """Pairs of classes that are taken for each other, most often first."""
        matrix = self.confusion_matrix()
        sizes = matrix.sum(axis=1)
        np.fill_diagonal(matrix, 0)
        order = np.argsort(-matrix, axis=None, kind="stable")
        order = order[: np.count_nonzero(matrix)]
        pairs = zip(*np.unravel_index(order, matrix.shape), strict=True)
        found = []
        for i, j in pairs:
            count, share = int(matrix[i, j]), float(matrix[i, j] / sizes[i])
            found.append(Confusion(int(i), int(j), count, share))
        return found

    def by_class(self) -> list[tuple[int, float]]:
        """Of each class its number of images and its accuracy, NaN of none."""
        matrix = self.confusion_matrix()
        sizes = matrix.sum(axis=1)
        return [
            (int(n), float(right / n) if n else float("nan"))
            for n, right in zip(sizes, matrix.diagonal(), strict=True)
        ]

    def calibration(self) -> list[Bin]:
        """The answers by confidence, in 15 intervals of equal length."""
        places = np.minimum((self.confidence * _BINS).astype(int), _BINS - 1)
        found = []
        for place in range(_BINS):
            inside = places == place
            count = int(inside.sum())
            found.append(
                Bin(
                    count,
                    float(self.confidence[inside].mean()) if count else 0.0,
                    float(self.right[inside].mean()) if count else 0.0,
                )
            )
        return found

    def expected_calibration_error(self) -> float:
        """Mean distance of confidence and accuracy (arXiv 1706.04599)."""
        gaps = [
            one.count * abs(one.accuracy - one.confidence)
            for one in self.calibration()
        ]
        return sum(gaps) / len(self.labels)


def ask(network: Any, split: Split, num_classes: int) -> Answers:
    """Asks a network that gives logits about all images of a split."""
    import tensorflow as tf

    @tf.function(
        input_signature=[tf.TensorSpec((None, *split.images.shape[1:]))]
    )
    def probabilities(images):
        logits = network(images, training=False)
        return tf.nn.softmax(tf.cast(logits, tf.float32))

    predicted, confidence = [], []
    for start in range(0, len(split), _BATCH):
        images = split.images[start : start + _BATCH].astype(np.float32)
        # An answer that is no number is one that nobody can trust.
        found = np.nan_to_num(probabilities(images).numpy())
        predicted.append(found.argmax(axis=-1))
        confidence.append(found.max(axis=-1))
    return Answers(
        split.images,
        split.labels,
        np.concatenate(predicted),
        np.concatenate(confidence),
        num_classes,
    )
