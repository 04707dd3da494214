"""Datasets without tf.data's autotuning."""

import tensorflow as tf


def without_autotuning(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """The same elements, with parallelism and buffers as they were given.

    TensorFlow 2.21's autotuner looks at a pipeline after 10, 20, 40, ... ms,
    and an iterator is not gone before that wait is over: each validation may
    take twice its time. Decoded images in memory leave nothing to tune.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)
