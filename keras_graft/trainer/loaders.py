"""Data that Keras draws batches from to learn their form: as little as it.

A look more would move the random numbers of a loader that shuffles, and a run
would see other batches than plain `fit` does.
"""

import itertools
from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

# As many as Keras looks at: sizes that differ between them are not fixed.
_LOOKED_AT = 2


def as_drawn_once(x: Any) -> Any:
    """Data whose form can be told without drawing more than Keras would.

    Args:
        x: As for `keras.Model.fit`, which was given neither labels nor
            weights beside it.

    Returns:
        A PyTorch DataLoader or grain dataset of dense arrays as a
        `tf.data.Dataset`, a `PyDataset` as one that gives its first batch
        once more, and all else as it is.
    """
    if isinstance(x, keras.utils.PyDataset):
        return FirstBatchKept(x)
    if _is_of(x, ("DataLoader",), "torch.utils.data"):
        # The length of a stream is a guess.
        stream = _is_of(x.dataset, ("IterableDataset",), "torch.utils.data")
        return _dataset(x, None if stream else len(x))
    if _is_of(x, ("MapDataset", "IterDataset", "DataLoader"), "grain"):
        return _dataset(x, None)
    return x


class FirstBatchKept(keras.utils.PyDataset):
    """A `PyDataset` whose first batch is drawn once for two looks at it.

    One that draws random numbers would otherwise be a batch ahead of what it
    is in plain `fit`.

    Args:
        data: The `PyDataset`.
    """

    def __init__(self, data: keras.utils.PyDataset):
        super().__init__(
            workers=data.workers,
            use_multiprocessing=data.use_multiprocessing,
            max_queue_size=data.max_queue_size,
        )
        self._data = data
        self._kept: list = []

    def look(self) -> Any:
        """The first batch, which will be given once more."""
        self._kept = self._kept or [self._data[0]]
        return self._kept[0]

    def __getitem__(self, index):
        if index == 0 and self._kept:
            return self._kept.pop()
        return self._data[index]

    @property
    def num_batches(self):
        return self._data.num_batches

    def on_epoch_begin(self):
        self._data.on_epoch_begin()

    def on_epoch_end(self):
        self._data.on_epoch_end()


def _is_of(x, names, module):
    """Whether it is of a class of a package, which may not be installed."""
    return any(
        parent.__name__ in names and parent.__module__.startswith(module)
        for parent in type(x).__mro__
    )


def _dataset(loader, length):
    looked_at = [_arrays(b) for b in itertools.islice(loader, _LOOKED_AT)]
    leaves = keras.tree.flatten(looked_at)
    if not looked_at or not all(_is_batch(leaf) for leaf in leaves):
        # Keras says what it cannot do with it, or can.
        return loader

    def batches() -> Iterator:
        return map(_arrays, loader)

    return _of_generator(batches, looked_at, length)


def _of_generator(
    batches: Callable[[], Iterator], looked_at: list, length: int | None
) -> tf.data.Dataset:
    dataset = tf.data.Dataset.from_generator(
        batches,
        output_signature=keras.tree.map_structure(_spec, *looked_at),
    )
    if length is not None:
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(length))
    return dataset


def _arrays(batch):
    """A batch of arrays; `tf.data` knows tuples and no lists."""
    batch = keras.tree.map_structure(_array, batch)
    return keras.tree.lists_to_tuples(batch)


def _array(leaf):
    if hasattr(leaf, "cpu"):
        leaf = leaf.cpu()
    return np.asarray(leaf) if hasattr(leaf, "__array__") else leaf


def _is_batch(leaf):
    return isinstance(leaf, np.ndarray) and leaf.ndim > 0


def _spec(*leaves):
    first = leaves[0].shape
    shape = [
        size if all(leaf.shape[1:][i] == size for leaf in leaves) else None
        for i, size in enumerate(first[1:])
    ]
    return tf.TensorSpec([None, *shape], leaves[0].dtype)
