"""Trains the same networks on any number of replicas and notes the numbers.

    python replica_equivalence.py none OUT.npz
    python replica_equivalence.py mirrored:4 OUT.npz
    TF_CONFIG=... python replica_equivalence.py multiworker OUT.npz

Every file must hold the same numbers, up to rounding. Only the first worker
writes.
"""

import os
import sys

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import contextlib
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import keras_graft
from keras_graft.optimizers.coupled_sgd import CoupledSGD

BATCH = 16
CLASSES = 4
STEPS = 20
# The last batch has 16, 5 or 1 examples: it fills all replicas, splits
# unevenly, or leaves replicas empty.
EVALUATED = (16, 21, 17)


def examples(seed: int, size: int) -> tuple:
    """Images (size, 8, 8, 1) that a small network can learn, and weights."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, CLASSES, size).astype("int32")
    x = rng.uniform(0, 1.3, (size, 8, 8, 1)).astype("float32")
    for i, label in enumerate(y):
        x[i, 2 * label : 2 * label + 2] += 0.5
    return x, y, rng.uniform(0.2, 2.0, size).astype("float32")


def for_empty_batches(seed: int) -> keras.Model:
    """A network that can be given no examples at all, as a replica may be."""
    init = keras.initializers.GlorotUniform
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(
        6, 3, use_bias=False, kernel_initializer=init(seed)
    )(inputs)
    x = keras.layers.BatchNormalization(momentum=0.9, synchronized=True)(x)
    # Smooth: a ReLU turned by the last bit of one replica's sum would end as
    # another network.
    x = keras.layers.Activation("softplus")(x)
    # TensorFlow cannot infer the second size of an empty batch.
    x = keras.layers.Lambda(
        lambda x: tf.reshape(x, [tf.shape(x)[0], -1]), output_shape=(216,)
    )(x)
    outputs = keras.layers.Dense(CLASSES, kernel_initializer=init(seed + 100))(
        x
    )
    return keras.Model(inputs, outputs)


def make_trainer() -> keras_graft.GraftTrainer:
    """Two networks that learn from the labels, each other and a teacher."""
    trainer = keras_graft.GraftTrainer(
        [for_empty_batches(k) for k in range(2)],
        distillation=[
            keras_graft.MutualDistillation(),
            keras_graft.TeacherDistillation([for_empty_batches(9)]),
        ],
    )
    trainer.compile(
        optimizer=[
            # Plain: the change of the weights is the gradient.
            keras.optimizers.SGD(0.05),
            CoupledSGD(0.05, weight_decay=0.01, global_clipnorm=0.1),
        ],
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        weighted_metrics=[
            keras.metrics.SparseCategoricalAccuracy(name="weighted")
        ],
    )
    return trainer


def batches(data: tuple, begin: int = 0, end: int | None = None) -> Any:
    part = tuple(array[begin:end] for array in data)
    return tf.data.Dataset.from_tensor_slices(part).batch(BATCH)


def assign_given_weights(trainer: keras_graft.GraftTrainer) -> None:
    """Weights that depend on nothing: equal to the last bit everywhere."""
    rng = np.random.default_rng(2)
    for network in trainer.networks:
        for weight in network.weights:
            drawn = rng.uniform(0.01, 0.1, weight.shape)
            weight.assign(drawn.astype("float32"))


def weights_of(trainer: keras_graft.GraftTrainer) -> dict[str, np.ndarray]:
    return {
        f"network_{k}/{i}": weight.numpy()
        for k, network in enumerate(trainer.networks)
        for i, weight in enumerate(network.weights)
    }


def slots_of(trainer: keras_graft.GraftTrainer) -> dict[str, np.ndarray]:
    return {
        f"optimizer_{k}/{i}": slot.numpy()
        for k, optimizer in enumerate(trainer.optimizer.optimizers)
        for i, slot in enumerate(optimizer.variables)
    }


class CoefficientHistory(keras.callbacks.Callback):
    """Keeps the coefficients of every graft, shape (layers, networks)."""

    def __init__(self, graft):
        super().__init__()
        self._graft = graft
        self.found = []

    def on_epoch_end(self, epoch, logs=None):
        self.found += [list(self._graft.coefficients.values())]


def measure() -> dict[str, np.ndarray]:
    """All numbers, by name; to be called in a strategy's scope.

    Returns:
        Arrays: `step_1/...` and `step_20/...` are weights, slots and logs,
        `run/...` the logs and coefficients of a run with grafts from there,
        `evaluate_21/...` logs with given weights, and `graft/...` and
        `gentle/...` what a graft and gentle ones make of those.
    """
    trainer = make_trainer()
    data = examples(0, BATCH * STEPS)
    found = {}

    def note(prefix, *parts):
        for values in parts:
            for name, value in values.items():
                found[f"{prefix}/{name}"] = np.asarray(value)

    logs = trainer.fit(batches(data, 0, BATCH), verbose=0).history
    note("step_1", logs, weights_of(trainer), slots_of(trainer))
    logs = trainer.fit(batches(data, BATCH), verbose=0).history
    note("step_20", logs, weights_of(trainer), slots_of(trainer))

    graft = keras_graft.GraftCallback()
    coefficients = CoefficientHistory(graft)
    logs = trainer.fit(
        batches(data, 0, 5 * BATCH),
        validation_data=batches(examples(3, 21)),
        epochs=3,
        verbose=0,
        callbacks=[graft, coefficients],
    ).history
    note("run", logs, {"coefficients": coefficients.found[1:]})

    assign_given_weights(trainer)
    for size in EVALUATED:
        dataset = batches(examples(1, size))
        logs = trainer.evaluate(dataset, verbose=0, return_dict=True)
        note(f"evaluate_{size}", logs)
    graft = keras_graft.GraftCallback(start=0)
    graft.set_model(trainer)
    graft.on_train_begin()
    graft.on_epoch_begin(0)
    note("graft", weights_of(trainer))
    assign_given_weights(trainer)
    move_gently(trainer)
    note("gentle", weights_of(trainer))
    return found


def move_gently(trainer: keras_graft.GraftTrainer) -> None:
    """A pull and an exchange before the second step of an epoch."""
    for graft in (
        keras_graft.GraftCallback(half_life=0.2, every_steps=1, start=0),
        keras_graft.GraftCallback(
            source="exchange", every_steps=1, share=0.3, start=0
        ),
    ):
        graft.set_model(trainer)
        graft.set_params({"steps": 2})
        graft.on_train_begin()
        graft.on_epoch_begin(0)
        graft.on_train_batch_begin(1)


def strategy_of(name: str) -> tf.distribute.Strategy | None:
    """The strategy of the command line: `none`, `mirrored:N`, `multiworker`."""
    if name == "none":
        return None
    if name == "multiworker":
        return tf.distribute.MultiWorkerMirroredStrategy()
    replicas = int(name.removeprefix("mirrored:"))
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0],
        [tf.config.LogicalDeviceConfiguration()] * replicas,
    )
    return tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(replicas)])


def main(name: str, out: str) -> None:
    strategy = strategy_of(name)
    with contextlib.nullcontext() if strategy is None else strategy.scope():
        found = measure()
    cluster = strategy and strategy.cluster_resolver
    if cluster is None or cluster.task_id == 0:
        np.savez(out, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
