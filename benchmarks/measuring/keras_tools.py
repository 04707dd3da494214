"""What a side on Keras measures between two epochs of its `fit`.

Each function returns what answers one request, see `keras_side`.
"""

import os
import tempfile
import time
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from keras_graft.data import augment
from keras_graft.data import order
from keras_graft.diagnosis import InvalidFilterMonitor
from keras_graft.diagnosis.divergence import DivergenceMonitor
from measuring import step_profile
from measuring.gate import clocks
from measuring.gate import named

# As many as `launch` looks at.
_DIVERGENCE_IMAGES = 512
_GEMM_SIZE = 1024
_GEMMS = 8


def run_batches(trainer, train, splits=None, settings=None):
    """Batches of all epochs, as a step of the trainer takes them."""
    del splits, settings  # unused
    spread = trainer.distribute_strategy.experimental_distribute_dataset
    return iter(spread(train.from_epoch(0)))


def resident_batches(trainer, train, splits, settings):
    """Batches of rows, for a trainer whose images lie on its device.

    From now on its step picks a batch's images there, uint8, and crops and
    mirrors them there, for each network in its own way. The host sends rows
    and the number of the step.
    """
    images, labels = (
        tf.constant(values)
        for values in (splits.train.images, splits.train.labels)
    )
    plain_step = trainer.train_step
    networks = trainer.num_networks

    def train_step(batch):
        step, rows = batch
        picked = tf.gather(images, rows)
        views = [
            augment.pad_crop_flip(
                picked, order.seed_pair(settings.seed, step, network)
            )
            for network in range(networks)
        ]
        x = {f"network_{k}": view for k, view in enumerate(views)}
        return plain_step(
            (x if networks > 1 else views[0], tf.gather(labels, rows))
        )

    trainer.train_step = train_step
    trainer.make_train_function(force=True)
    count = len(splits.train)
    rows = (
        tf.data.Dataset.range(count, output_type=tf.int32)
        .shuffle(count, settings.seed)
        .batch(settings.batch_size, drop_remainder=True)
        .repeat()
    )
    return iter(tf.data.Dataset.zip(tf.data.Dataset.counter(), rows))


def gemm_tool(trainer, train, flops):
    """Pairs: operations a second of a step, and of a product after it."""
    dtype = keras.config.dtype_policy().compute_dtype
    # Products of products neither overflow nor vanish.
    scaled = np.random.default_rng(0).normal(size=(_GEMM_SIZE, _GEMM_SIZE))
    factor = tf.cast(scaled / _GEMM_SIZE**0.5, dtype)
    batches = []

    # A chain of products for each core: an operation may have one thread.
    chains = os.cpu_count() or 1

    @tf.function
    def multiply(x):
        ends = [x + i for i in range(chains)]
        for _ in range(_GEMMS):
            ends = [tf.matmul(factor, end) for end in ends]
        return tf.reduce_sum(tf.add_n(ends))

    def measure(steps):
        if not batches:
            batches.append(run_batches(trainer, train))
            float(multiply(factor))
        pairs = []
        for _ in range(steps):
            begin = time.perf_counter()
            # Waits for what runs beside Python on a GPU.
            float(trainer.train_function(batches[0])["loss"])
            middle = time.perf_counter()
            float(multiply(factor))
            end = time.perf_counter()
            products = 2 * _GEMM_SIZE**3 * _GEMMS * chains
            pairs.append([flops / (middle - begin), products / (end - middle)])
        return {"pairs": pairs}

    return measure


def steps_tools(
    model: keras.Model, draw: Callable, graft: keras.callbacks.Callback = None
) -> dict[str, Callable]:
    """The requests `steps` and `profile`, by name.

    Args:
        model: Is trained.
        draw: Function of no arguments that returns the batches; called with
            the first request.
        graft: Callback whose gentle grafts are part of every K-th step.
    """
    batches = []
    taken = 0

    def run(count):
        nonlocal taken
        for _ in range(count):
            if graft is not None:
                graft.on_train_batch_begin(taken)
            logs = model.train_function(batches[0])
            taken += model.steps_per_execution
        # Waits for what runs beside Python on a GPU.
        float(logs["loss"])

    def prepare():
        if not batches:
            batches.append(draw())
            if graft is not None:
                # The gate stands before the epoch's own graft.
                graft.graft(0)

    def measure(count):
        prepare()
        begin = clocks()
        run(count)
        return named(
            seconds=(clocks() - begin) / count / model.steps_per_execution
        )

    def profile(count):
        prepare()
        with tempfile.TemporaryDirectory() as folder:
            with tf.profiler.experimental.Profile(folder):
                begin = time.perf_counter()
                run(count)
                seconds = time.perf_counter() - begin
            space = step_profile.read(folder)
        steps = count * model.steps_per_execution
        return {"seconds": seconds / steps} | step_profile.summary(space, steps)

    return {"steps": measure, "profile": profile}


def input_tool(train):
    """Seconds to draw a batch with the machine idle."""

    def measure(batches):
        drawn = iter(train.from_epoch(0))
        # What is drawn ahead at the start is not the pipeline's pace.
        for _ in range(batches):
            next(drawn)
        begin = clocks()
        for _ in range(batches):
            next(drawn)
        return named(seconds=(clocks() - begin) / batches)

    return measure


def monitor_tool(trainer, images):
    """Seconds of an epoch's end, by name of the monitor."""

    def measure():
        found = {}
        for name, monitor in (
            ("invalid_filters", InvalidFilterMonitor()),
            ("divergence", DivergenceMonitor(images[:_DIVERGENCE_IMAGES])),
        ):
            monitor.set_model(trainer)
            monitor.on_train_begin()
            monitor.on_epoch_end(0, {})
            begin = clocks()
            monitor.on_epoch_end(1, {})
            found |= named(**{name: clocks() - begin})
        return found

    return measure
