"""Batches of identities, a pure function of seed and epoch."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from keras_graft.checks.numbers import is_number
from keras_graft.checks.numbers import is_whole
from keras_graft.data import order
from keras_graft.data.autotuning import without_autotuning
from keras_graft.data.epoch_dataset import EpochDataset
from keras_graft.recognition.augmentation import erase
from keras_graft.recognition.augmentation import flip
from keras_graft.recognition.augmentation import pad_crop
from keras_graft.recognition.loading import LabelledImages

# Stream of a seed; see `queries`.
_BATCHES = 3


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """What happens to an image before it is trained on.

    Attributes:
        pad: Pixels of black at each side before a crop at random; 0: none.
        flip: Whether one image in two is mirrored.
        erasing: Probability that a box is erased, in [0, 1].
    """

    pad: int = 0
    flip: bool = False
    erasing: float = 0.0

    def __post_init__(self):
        if not is_whole(self.pad, 0):
            raise ValueError(
                "`pad` must be a whole number of pixels, at least 0. "
                f"Received: {self.pad!r}"
            )
        if not (is_number(self.erasing) and 0 <= self.erasing <= 1):
            raise ValueError(
                f"`erasing` must be in [0, 1]. Received: {self.erasing!r}"
            )


def groups_of_epoch(
    labels: np.ndarray, identities: int, images: int, seed: int, epoch: int
) -> np.ndarray:
    """The batches of an epoch, P identities with K images each.

    The images of each identity are shuffled and cut into groups of K, one
    at least, for which an identity with fewer images shows some twice. The
    groups, those of an identity next to each other and the identities in
    random order, are dealt out to the batches in turn: no identity is twice
    in a batch. What is left over changes from epoch to epoch.

    Args:
        labels: Identities from 0 on, int, shape [n].
        identities: P, 2 or more.
        images: K, 2 or more.
        seed: 0 or more.
        epoch: Counted from 0.

    Returns:
        Rows of images, int64, shape [steps, P * K], images of an identity
        next to each other. The number of steps is the same in every epoch.
    """
    rng = np.random.default_rng([seed, _BATCHES, epoch])
    steps = _steps(labels, identities, images)
    by_identity = np.split(
        np.argsort(labels, kind="stable"), np.cumsum(np.bincount(labels))[:-1]
    )
    groups = []
    for identity in rng.permutation(len(by_identity)):
        rows = rng.permutation(by_identity[identity])
        if len(rows) < images:
            rows = np.concatenate([rows, rng.choice(rows, images - len(rows))])
        # More groups than batches: some batch would have two of them.
        count = min(len(rows) // images, steps)
        groups.append(rows[: count * images].reshape(count, images))
    dealt = np.concatenate(groups)[: steps * identities]
    # Group i is in batch i modulo `steps`.
    batches = dealt.reshape(identities, steps, images).transpose(1, 0, 2)
    batches = rng.permutation(batches)
    return batches.reshape(steps, identities * images)


def _steps(labels, identities, images):
    """The most batches that every identity is at most once in each of."""
    counts = np.maximum(np.bincount(labels) // images, 1)
    steps = int(counts.sum()) // identities
    while steps and np.minimum(counts, steps).sum() < steps * identities:
        steps -= 1
    return steps


class IdentityBatches(EpochDataset):
    """Batches of P identities with K images each, for `GraftTrainer.fit`.

    What a batch holds, augmentation included, depends on the seed, the epoch
    and the step alone, so that a resumed run draws what an uninterrupted one
    does. Images of an identity lie next to each other: where P is a multiple
    of the replicas, each of these gets whole identities.

    Args:
        train: What is trained on.
        batch_size: Images in a batch: P times K.
        images_per_identity: K, 2 or more; None: images in random order, as
            for classification. Defaults to 4.
        seed: Of order and augmentation, 0 or more.
        augmentation: An `Augmentation`. Defaults to none.
        num_networks: Networks that each see the batch augmented in a way of
            their own; 1 for one view. Defaults to 1.
        outputs: The networks' outputs, which each get the identities as
            their labels.
        one_hot: Whether `"logits"` gets them as probabilities, which label
            smoothing needs. Defaults to False.

    Raises:
        ValueError: If an argument is out of its range, or the identities do
            not fill a batch.

    Example:

    ```python
    batches = IdentityBatches(
        people.train, batch_size=64, seed=0,
        augmentation=Augmentation(pad=10, flip=True, erasing=0.5),
        outputs=("logits", "embedding", "features"), one_hot=True,
    )
    trainer.fit(batches, epochs=120)
    ```
    """

    def __init__(
        self,
        train: LabelledImages,
        *,
        batch_size: int,
        images_per_identity: int | None = 4,
        seed: int = 0,
        augmentation: Augmentation | None = None,
        num_networks: int = 1,
        outputs: Sequence[str] = ("logits", "embedding"),
        one_hot: bool = False,
    ):
        self._labels = train.labels
        self._num_identities = train.num_identities
        self._batch_size = batch_size
        self._per_identity = images_per_identity
        self._seed = seed
        self._augmentation = augmentation or Augmentation()
        self._num_networks = num_networks
        self._outputs = tuple(outputs)
        self._one_hot = one_hot
        _check(batch_size, images_per_identity, seed, num_networks)
        if images_per_identity is None:
            self.steps_per_epoch = order.steps_per_epoch(len(train), batch_size)
        else:
            self.steps_per_epoch = _steps(
                self._labels,
                batch_size // images_per_identity,
                images_per_identity,
            )
        if not self.steps_per_epoch:
            raise ValueError(
                f"batch_size={batch_size} with images_per_identity="
                f"{images_per_identity} asks for "
                f"{batch_size // images_per_identity} identities in a batch, "
                f"and there are {self._num_identities}. Choose a smaller batch "
                "or more images of each."
            )
        # Else they would go to the GPU's memory and come back for every batch.
        with tf.device("CPU:0"):
            self._images = tf.constant(train.images)
            self._tensor_labels = tf.constant(self._labels)
        self._fill = np.round(train.images.mean(axis=(0, 1, 2)))

    def from_epoch(self, epoch):
        # Nothing here branches on a tensor.
        @tf.autograph.experimental.do_not_convert
        def steps_of(epoch):
            rows = self._rows(epoch)
            steps = self.steps_per_epoch
            return tf.data.Dataset.from_tensor_slices(
                (
                    tf.fill([steps], epoch),
                    tf.range(steps, dtype=tf.int64),
                    tf.reshape(rows, [steps, self._batch_size]),
                )
            )

        @tf.autograph.experimental.do_not_convert
        def batch_of(epoch, step, rows):
            images = tf.gather(self._images, rows)
            labels = tf.gather(self._tensor_labels, rows)
            views = [
                self._view(
                    images,
                    order.seed_pair(self._seed, order.AUGMENT, epoch, step, k),
                )
                for k in range(self._num_networks)
            ]
            x = views[0]
            if self._num_networks > 1 and self._augmentation != Augmentation():
                x = {f"network_{k}": view for k, view in enumerate(views)}
            return x, self._labels_of(labels)

        return without_autotuning(
            tf.data.Dataset.counter(epoch)
            .flat_map(steps_of)
            .map(batch_of, tf.data.AUTOTUNE, deterministic=True)
            .prefetch(2)
        )

    def _rows(self, epoch):
        size, count = self._batch_size, self.steps_per_epoch
        if self._per_identity is None:
            rows = order.permutation(len(self._labels), self._seed, epoch)
            return tf.cast(rows[: count * size], tf.int64)
        per = self._per_identity

        def drawn(epoch):
            return groups_of_epoch(
                self._labels, size // per, per, self._seed, int(epoch)
            )

        return tf.numpy_function(drawn, [epoch], tf.int64)

    def _view(self, images, seed):
        augmentation = self._augmentation
        if augmentation.pad:
            images = pad_crop(images, augmentation.pad, order.fold_in(seed, 0))
        if augmentation.flip:
            images = flip(images, order.fold_in(seed, 1))
        if augmentation.erasing:
            images = erase(
                images,
                augmentation.erasing,
                tf.constant(self._fill),
                order.fold_in(seed, 2),
            )
        return images

    def _labels_of(self, labels):
        found = dict.fromkeys(self._outputs, labels)
        if self._one_hot and "logits" in found:
            found["logits"] = tf.one_hot(labels, self._num_identities)
        return found


def _check(batch_size, images_per_identity, seed, num_networks):
    if not is_whole(batch_size, 1):
        raise ValueError(
            "`batch_size` must be a whole number from 1 on. Received: "
            f"{batch_size!r}"
        )
    if images_per_identity is not None:
        if not is_whole(images_per_identity, 2):
            raise ValueError(
                "`images_per_identity` must be a whole number from 2 on, or "
                f"None. Received: {images_per_identity!r}"
            )
        if batch_size % images_per_identity or (
            batch_size // images_per_identity < 2
        ):
            raise ValueError(
                f"batch_size={batch_size} must be images_per_identity="
                f"{images_per_identity} times the identities of a batch, of "
                "which there are 2 at least."
            )
    if not is_whole(seed, 0):
        raise ValueError(
            f"`seed` must be a whole number, at least 0. Received: {seed!r}"
        )
    if not is_whole(num_networks, 1):
        raise ValueError(
            "`num_networks` must be a whole number from 1 on. Received: "
            f"{num_networks!r}"
        )
