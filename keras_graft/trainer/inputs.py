"""What `fit` was given: an example of it, and what is wrong with it."""

import logging
import math
import types
from typing import Any

import keras
import numpy as np
import scipy.sparse
import tensorflow as tf

from keras_graft.checks.numbers import is_whole
from keras_graft.trainer.loaders import FirstBatchKept

_LOG = logging.getLogger(__name__)

_DATASETS = tf.data.Dataset | tf.distribute.DistributedDataset

# What `fit` takes for arrays when it is not told.
_KERAS_BATCH_SIZE = 32


def check_not_empty(x: Any, use: str = "training") -> None:
    """Refuses data without a single batch.

    Args:
        x: As for `keras.Model.fit`.
        use: What it is for, for the error.

    Raises:
        ValueError: If nothing can be drawn.
    """
    if _is_empty(x):
        raise ValueError(
            f"There is no {use} data: the dataset holds no batch. If it "
            "drops incomplete batches, its batch size may be larger than the "
            "data."
        )


def check_epoch_ends(x: Any, steps_per_epoch: int | None) -> None:
    """Refuses data without end where nothing says how long an epoch is.

    Args:
        x: As for `keras.Model.fit`.
        steps_per_epoch: Likewise.

    Raises:
        ValueError: If the first epoch would never end.
    """
    if _is_endless(x) and steps_per_epoch is None:
        raise ValueError(
            "The training data has no end. Say how many batches make an "
            "epoch: fit(..., steps_per_epoch=...)."
        )


def check_validation(
    validation_data: Any, validation_steps: int | None
) -> None:
    """Refuses validation data without a batch, or without end.

    Args:
        validation_data: As for `keras.Model.fit`.
        validation_steps: Likewise.

    Raises:
        ValueError: If nothing could be validated on, or nothing else would
            ever be done.
    """
    if validation_data is None:
        return
    x = validation_data
    if isinstance(x, list | tuple) and x:
        x = x[0]
    if _is_empty(x):
        raise ValueError(
            "`validation_data` holds no batch. Leave it out, or give at least "
            "one batch; a dataset that drops incomplete batches may have a "
            "batch size larger than the data."
        )
    if _is_endless(x) and validation_steps is None:
        raise ValueError(
            "`validation_data` has no end. Say how many batches of it a "
            "validation takes: fit(..., validation_steps=...)."
        )


def _is_empty(x):
    if x is None:
        return True
    if isinstance(x, _DATASETS):
        return _cardinality(x) == 0
    if isinstance(x, keras.utils.PyDataset):
        return x.num_batches == 0
    if isinstance(x, types.GeneratorType):
        return False
    leaves = keras.tree.flatten(x)
    return not leaves or any(
        hasattr(leaf, "shape") and tuple(leaf.shape)[:1] == (0,)
        for leaf in leaves
    )


def _is_endless(x):
    if isinstance(x, _DATASETS):
        return _cardinality(x) == tf.data.INFINITE_CARDINALITY
    return isinstance(x, keras.utils.PyDataset) and x.num_batches is None


def _cardinality(dataset):
    found = dataset.cardinality
    # A property of what `tf.distribute` has made.
    return int(found() if callable(found) else found)


def check_batches_split(
    x: Any,
    batch_size: int | None,
    steps_per_epoch: int | None,
    validation_split: float,
    replicas: int,
) -> None:
    """Refuses batches that do not split evenly, where their size is known.

    Of other data `DroppedExamples` tells after the first batch.

    Args:
        x: As for `keras.Model.fit`.
        batch_size: Likewise.
        steps_per_epoch: Likewise.
        validation_split: Likewise.
        replicas: Number of replicas in sync.

    Raises:
        ValueError: If no batch could be trained on.
    """
    if batch_size is not None and not is_whole(batch_size, 1):
        raise ValueError(
            "`batch_size` must be a whole number, at least 1. Received: "
            f"{batch_size!r}"
        )
    leaves = keras.tree.flatten(
        x.element_spec if isinstance(x, tf.data.Dataset) else x
    )
    if isinstance(x, tf.data.Dataset):
        shape = getattr(leaves[0], "shape", None)
        size = shape[0] if shape is not None and shape.rank else None
    elif isinstance(leaves[0], np.ndarray | tf.Tensor):
        examples = math.floor(len(leaves[0]) * (1.0 - validation_split))
        size = batch_size or _KERAS_BATCH_SIZE
        if steps_per_epoch and not batch_size:
            size = math.ceil(examples / steps_per_epoch)
        size = min(size, examples)
    else:
        size = None
    if size is not None and size % replicas:
        raise ValueError(uneven_message(size, replicas))


def uneven_message(size, replicas):
    return (
        f"A batch of {size} training examples does not split evenly over "
        f"{replicas} replicas, so that nothing is left to train on. Let the "
        f"batch size be a multiple of {replicas}, and give at least one whole "
        "batch."
    )


def first_example(x: Any, y: Any, sample_weight: Any) -> tuple:
    """A batch of one with the structure and types of the data.

    Nothing is drawn from a dataset: its specification is enough, and an
    iterator more would change the order of a shuffled one.

    Args:
        x: As for `keras.Model.fit`, drawn once, see `loaders`.
        y: As for `keras.Model.fit`.
        sample_weight: As for `keras.Model.fit`.

    Returns:
        `(x, y, sample_weight)`, each None where absent or unknown.
    """
    if isinstance(x, _DATASETS):
        batch = keras.tree.map_structure(_zeros, x.element_spec)
        return keras.utils.unpack_x_y_sample_weight(batch)
    if isinstance(x, FirstBatchKept):
        batch = keras.tree.map_structure(first_of, x.look())
        return keras.utils.unpack_x_y_sample_weight(batch)
    if not hasattr(x, "shape") and not isinstance(x, dict | list | tuple):
        return None, None, None
    return tuple(
        None if part is None else keras.tree.map_structure(first_of, part)
        for part in (x, y, sample_weight)
    )


def all_labels(x: Any, y: Any) -> Any:
    """The labels that can be looked at before training.

    Args:
        x: As for `keras.Model.fit`.
        y: As for `keras.Model.fit`.

    Returns:
        Arrays where labels were given as arrays, else an example of one.
    """
    if y is None:
        return first_example(x, y, None)[1]
    return keras.tree.map_structure(np.asarray, y)


def _zeros(spec):
    if isinstance(spec, tf.RaggedTensorSpec):
        inner = [size or 1 for size in spec.shape[spec.ragged_rank + 1 :]]
        empty = tf.zeros([0, *inner], spec.dtype)
        for _ in range(spec.ragged_rank):
            empty = tf.RaggedTensor.from_row_splits(empty, [0, 0])
        return empty
    if isinstance(spec, tf.SparseTensorSpec):
        shape = [1, *(size or 1 for size in spec.shape[1:])]
        return tf.sparse.from_dense(tf.zeros(shape, spec.dtype))
    if not isinstance(spec, tf.TensorSpec):
        # Of a tensor for each replica: they are alike.
        spec = tf.nest.flatten(spec, expand_composites=True)[0]
    shape = [1 if size is None else size for size in spec.shape]
    return tf.zeros([1, *shape[1:]] if shape else [], spec.dtype)


def first_of(array):
    """A batch of the first example, of a dense, sparse or ragged array."""
    if array is None:
        return None
    if isinstance(array, tf.SparseTensor):
        size = tf.concat([[1], array.dense_shape[1:]], 0)
        return tf.sparse.slice(array, tf.zeros_like(size), size)
    if isinstance(array, tf.RaggedTensor):
        return array[:1]
    if scipy.sparse.issparse(array):
        # Not every format has rows.
        first = array.tocsr()[:1].tocoo()
        places = np.stack([first.row, first.col], axis=1).astype("int64")
        return tf.SparseTensor(places, first.data, first.shape)
    return tf.convert_to_tensor(array[:1])
