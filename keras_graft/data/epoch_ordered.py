"""Arrays as batches whose order is a function of seed and epoch."""

from typing import Any

import keras
import tensorflow as tf

from keras_graft.checks.numbers import is_whole
from keras_graft.data.autotuning import without_autotuning
from keras_graft.data.epoch_dataset import EpochDataset
from keras_graft.data.order import permutation
from keras_graft.data.order import steps_per_epoch

# Seeds are int64.
_LARGEST_SEED = 2**63 - 1


class EpochOrdered(EpochDataset):
    """Batches that a resumed run draws as an uninterrupted one does.

    Every epoch visits the examples in an order of its own, which depends on
    the seed and the number of the epoch alone. For `GraftTrainer.fit`, with
    `keras_graft.RunCheckpoint`.

    Args:
        arrays: An array, or a tuple or dict of them: whatever `fit` takes as
            the batches of a dataset, such as `(x, y)`. All have the same
            number of examples on the first axis.
        batch_size: Examples in a batch, from 1 to the number of examples.
            What is left of an epoch's order makes no whole batch and is left
            out; it is another part in every epoch.
        seed: Seed of the order.

    Raises:
        ValueError: If an argument is none of these, or the arrays' lengths
            differ or do not fill a batch.
    """

    def __init__(self, arrays: Any, *, batch_size: int, seed: int):
        leaves = keras.tree.flatten(arrays)
        if not leaves or not all(hasattr(leaf, "__len__") for leaf in leaves):
            raise ValueError(
                "`arrays` must be an array, or a tuple or dict of them, such "
                f"as (x, y). Received: {arrays!r}"
            )
        if not is_whole(seed, -_LARGEST_SEED) or seed > _LARGEST_SEED:
            raise ValueError(
                f"`seed` must be a whole number. Received: {seed!r}"
            )
        lengths = {len(array) for array in leaves}
        if len(lengths) != 1:
            raise ValueError(
                "All arrays must have the same number of examples. Received "
                f"arrays of {sorted(lengths)} examples."
            )
        self._num_examples = lengths.pop()
        self._batch_size = batch_size
        self._seed = seed
        self.steps_per_epoch = steps_per_epoch(self._num_examples, batch_size)
        with tf.device("CPU:0"):
            self._arrays = keras.tree.map_structure(
                tf.convert_to_tensor, arrays
            )

    def from_epoch(self, epoch: int) -> tf.data.Dataset:
        steps = self.steps_per_epoch

        # AutoGraph would look for branches on tensors: there are none.
        @tf.autograph.experimental.do_not_convert
        def steps_of(epoch):
            order = permutation(self._num_examples, self._seed, epoch)
            rows = order[: steps * self._batch_size]
            return tf.data.Dataset.from_tensor_slices(
                tf.reshape(rows, [steps, self._batch_size])
            )

        @tf.autograph.experimental.do_not_convert
        def batch_of(rows):
            return keras.tree.map_structure(
                lambda array: tf.gather(array, rows), self._arrays
            )

        return without_autotuning(
            tf.data.Dataset.counter(epoch)
            .flat_map(steps_of)
            .map(batch_of, tf.data.AUTOTUNE, deterministic=True)
            .prefetch(2)
        )
