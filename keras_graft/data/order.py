"""The order of an epoch and the seeds of its augmentation.

Everything random in the data is drawn from a seed pair that is computed from
the run's seed and from where in the run it is used. No generator is carried
from batch to batch, so a run that starts at epoch 3 sees what epoch 3 of an
uninterrupted run sees.
"""

import numpy as np
import tensorflow as tf

from keras_graft.checks.numbers import is_whole

# First number folded into the run's seed: what the seed pair is for.
ORDER = 0
AUGMENT = 1
MIXTURE = 2


def seed_pair(seed: int, *path: int | tf.Tensor) -> tf.Tensor:
    """The seed of one place in a run.

    Each number of the path is hashed into the seed, rather than added to it:
    seed 0 at network 1 and seed 1 at network 0 have nothing in common.

    Args:
        seed: Seed of the run.
        path: Integers that lead to the place, such as epoch and step.

    Returns:
        int64 tensor of shape [2], as the `tf.random.stateless_*` functions
        take it.
    """
    return fold_in(tf.constant([seed, 0], tf.int64), *path)


def fold_in(pair: tf.Tensor, *path: int | tf.Tensor) -> tf.Tensor:
    """The seed pair of a place below that of `pair`; see `seed_pair`."""
    for number in path:
        pair = tf.random.experimental.stateless_fold_in(
            pair, tf.cast(number, tf.int64)
        )
    return pair


def permutation(
    num_examples: int, seed: int, epoch: int | tf.Tensor, stream: int = 0
) -> tf.Tensor:
    """The order in which an epoch visits the examples.

    Args:
        num_examples: Number of examples n.
        seed: Seed of the run.
        epoch: Epoch, counted from 0.
        stream: 0 for the order that all networks share, which is also network
            0's own; k for network k's own order.

    Returns:
        int32 tensor of shape [n], each of 0 ... n-1 once. The same in every
        process with the same TensorFlow version.
    """
    # On accelerators other than GPUs the numbers would be different ones.
    with tf.device("CPU:0"):
        return tf.random.experimental.stateless_shuffle(
            tf.range(num_examples), seed_pair(seed, ORDER, epoch, stream)
        )


def balanced_draw(
    labels: np.ndarray,
    count: int,
    seed: int,
    epoch: int | tf.Tensor,
    stream: int = 0,
) -> tf.Tensor:
    """Examples of an epoch in which every class is seen equally often.

    Which example of a class is drawn anew each time, so that one of a small
    class comes several times and one of a large class may not come.

    Args:
        labels: Class of each example, int, shape [n].
        count: How many to draw.
        seed: Seed of the run.
        epoch: Epoch, counted from 0.
        stream: As of `permutation`.

    Returns:
        int32 tensor of shape [count], each in 0 ... n-1; the classes that are
        there have the same number of them, to within one.
    """
    by_class = np.argsort(labels, kind="stable").astype(np.int32)
    _, starts, sizes = np.unique(
        labels[by_class], return_index=True, return_counts=True
    )
    # On accelerators other than GPUs the numbers would be different ones.
    with tf.device("CPU:0"):
        place = seed_pair(seed, ORDER, epoch, stream)
        classes = tf.random.experimental.stateless_shuffle(
            tf.range(count) % len(sizes), fold_in(place, 0)
        )
        # In float64, whose whole numbers are exact.
        shares = tf.random.stateless_uniform(
            [count], fold_in(place, 1), dtype=tf.float64
        )
        inside = shares * tf.gather(sizes.astype(np.float64), classes)
        positions = tf.gather(starts, classes) + tf.cast(inside, tf.int64)
        return tf.gather(by_class, positions)


def steps_per_epoch(
    num_examples: int, batch_size: int, limit: int | None = None
) -> int:
    """The steps of an epoch, whose incomplete last batch is dropped.

    Args:
        num_examples: Number of training examples.
        batch_size: Images in a batch.
        limit: The number of steps asked for; None: all there are.

    Returns:
        Number of steps, 1 or more.

    Raises:
        ValueError: If the data does not fill a batch or `limit` batches.
    """
    if not (is_whole(batch_size, 1) and batch_size <= num_examples):
        raise ValueError(
            f"batch_size={batch_size!r} must be a whole number from 1 to the "
            f"number of training examples, {num_examples}: a batch larger than "
            "the data would never be filled. Choose a smaller batch or more "
            "data."
        )
    available = num_examples // batch_size
    if limit is None:
        return available
    if not 1 <= limit <= available:
        raise ValueError(
            f"steps_per_epoch={limit} must be from 1 to {available}, the "
            f"whole batches of {batch_size} in {num_examples} training "
            "examples. Leave it out to use them all."
        )
    return limit
