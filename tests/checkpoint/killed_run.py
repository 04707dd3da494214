"""A run with everything in it, as a user writes it, for tests that kill it.

    python killed_run.py FOLDER [WHEN]

WHEN is where the process kills itself: `batch`, `graft`, `save` or `publish`.
The end of the run is written into FOLDER: `end.npz`, `history.json`.
"""

import json
import os
import pathlib
import signal
import sys
import zlib

os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import numpy as np
import tensorflow as tf

import keras_graft
from keras_graft.checkpoint.training_state import read_arrays
from keras_graft.data.epoch_dataset import EpochDataset
from keras_graft.grafting import graft_plan

EPOCHS = 8
STEPS = 3


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


def call_before(module, name, hook):
    """Lets `hook(count)` run before each call of a function."""
    original, count = getattr(module, name), 0

    def wrapped(*arguments, **named):
        nonlocal count
        count += 1
        hook(count)
        return original(*arguments, **named)

    setattr(module, name, wrapped)


class Images(EpochDataset):
    """Augmented batches; notes a checksum of each one that is drawn."""

    steps_per_epoch = STEPS

    def __init__(self, drawn, kill_at):
        rng = np.random.default_rng(0)
        labels = np.arange(48, dtype="int32") % 4
        images = rng.integers(0, 100, (48, 8, 8, 1), dtype="uint8")
        for i, label in enumerate(labels):
            images[i, 2 * label : 2 * label + 2] += 120
        self.split = keras_graft.data.Split(images, labels)
        self._drawn = drawn
        self._kill_at = kill_at

    def from_epoch(self, epoch):
        batches = keras_graft.data.training_batches(
            self.split,
            batch_size=16,
            seed=5,
            augment="standard",
            num_networks=3,
            initial_epoch=epoch,
        )
        index = epoch * STEPS

        def note(*images):
            nonlocal index
            if index == self._kill_at:
                kill()
            checksum = zlib.crc32(b"".join(map(bytes, images)))
            with open(self._drawn, "a") as file:
                file.write(f"{index} {checksum}\n")
            index += 1
            return np.int64(0)

        def noted(x, y):
            zero = tf.numpy_function(note, list(x.values()), tf.int64)
            with tf.control_dependencies([zero]):
                return x, tf.identity(y)

        return batches.map(noted)


def two_blocks(seed):
    init = keras.initializers.GlorotUniform
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Rescaling(1 / 255)(inputs)
    for i, stride in enumerate((1, 2)):
        x = keras.layers.Conv2D(
            6,
            3,
            strides=stride,
            use_bias=False,
            kernel_initializer=init(seed + i),
        )(x)
        x = keras.layers.BatchNormalization()(x)
        x = keras.layers.ReLU()(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dropout(0.3, seed=seed)(x)
    x = keras.layers.Dense(4, kernel_initializer=init(seed + 9))(x)
    return keras.Model(inputs, x)


def make_trainer():
    rate = keras.optimizers.schedules.CosineDecay(0.1, EPOCHS * STEPS)
    trainer = keras_graft.GraftTrainer([two_blocks(10 * k) for k in range(3)])
    trainer.compile(
        optimizer=keras.optimizers.SGD(rate, momentum=0.9, nesterov=True),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return trainer


def main(folder, when=None):
    folder = pathlib.Path(folder)
    folder.mkdir(exist_ok=True)

    def kill_at(count):
        return lambda n: kill() if n == count else None

    if when == "graft":
        # Some weights are written, others are not.
        call_before(graft_plan, "set_value", kill_at(2))
    if when == "save":
        # The arrays are on the disk, the rest is not.
        call_before(os, "fsync", kill_at(2))
    if when == "publish":
        call_before(os, "rename", kill_at(1))
    data = Images(
        folder / "drawn.txt", 2 * STEPS + 1 if when == "batch" else -1
    )
    trainer = make_trainer()
    checkpoint = keras_graft.RunCheckpoint(folder / "checkpoints")
    epoch = checkpoint.restore(trainer)
    history = trainer.fit(
        data,
        epochs=EPOCHS,
        initial_epoch=epoch,
        validation_data=(data.split.images, data.split.labels),
        callbacks=[
            checkpoint,
            # The rate only falls: this stops after five epochs, and returns
            # to the weights of the first.
            keras.callbacks.EarlyStopping(
                "learning_rate_network_0",
                mode="max",
                patience=4,
                restore_best_weights=True,
            ),
            keras_graft.InvalidFilterMonitor(),
            keras_graft.GraftCallback(start=1),
        ],
        verbose=0,
    )
    np.savez(folder / "end.npz", **read_arrays(trainer))
    found = {"epoch": history.epoch, **history.history}
    (folder / "history.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
