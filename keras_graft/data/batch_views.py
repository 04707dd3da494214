"""What each network sees of the images of a batch.

Images in memory are picked and cropped in the graph; those of files are read
and cropped outside of it, by several threads. The numbers are the same.
"""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from keras_graft.data import augment as augmentation
from keras_graft.data import order
from keras_graft.data.splits import Split


def parallel(split: Split) -> int:
    """How many batches are made at a time."""
    if isinstance(split.images, np.ndarray):
        return tf.data.AUTOTUNE
    # Reading a batch of files takes every processor already: one more batch
    # is enough, and more would fill the memory.
    return 2


def reader(split: Split, crop: str) -> Callable:
    """How the images of a batch are had.

    Args:
        split: The images.
        crop: As of `AugmentSteps`.

    Returns:
        A function of rows, int, shape [batch], and of a list of one seed pair
        for each network that sees them. It returns a list of uint8 tensors,
        [batch, height, width, channels], one for each of those: as they are
        with `"none"`, random parts with `"resized_crop"`, else padded,
        cropped and mirrored.
    """
    if isinstance(split.images, np.ndarray):
        return _of_arrays(split.images, crop)
    return _of_files(split.images, crop)


def _of_arrays(images, crop):
    # Else they would go to the GPU's memory and come back for every batch.
    with tf.device("CPU:0"):
        images = tf.constant(images)

    # One trace for all networks.
    @tf.function(autograph=False)
    def view(picked, seed):
        if crop == "resized_crop":
            draws = augmentation.draw_parts(tf.shape(picked)[0], seed)
            return augmentation.resized_crop(picked, draws)
        return augmentation.pad_crop_flip(picked, seed)

    def read(rows, seeds):
        picked = tf.gather(images, rows)
        if crop == "none":
            return [picked] * len(seeds)
        return [view(picked, order.fold_in(seed, 0)) for seed in seeds]

    return read


def _of_files(images, crop):
    shape = images.shape[1:]

    def read(rows, seeds):
        count = rows.shape[0]
        if crop == "none":
            read = tf.numpy_function(
                images.__getitem__, [rows], tf.uint8, stateful=False
            )
            return [tf.ensure_shape(read, [count, *shape])] * len(seeds)
        seeds = [order.fold_in(seed, 0) for seed in seeds]
        if crop == "resized_crop":
            function = images.parts
            draws = [[augmentation.draw_parts(count, s)] for s in seeds]
        else:
            function = images.shifted
            draws = [
                augmentation.draw_crop_flip(count, images.shape, s)
                for s in seeds
            ]
        draws = [tf.stack(drawn) for drawn in zip(*draws, strict=True)]
        read = tf.numpy_function(
            function, [rows, *draws], tf.uint8, stateful=False
        )
        return tf.unstack(tf.ensure_shape(read, [len(seeds), count, *shape]))

    return read
