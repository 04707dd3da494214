"""Data, networks and trainers that tests of several parts make."""

import keras
import pytest
import tensorflow as tf
from keras import layers

import keras_graft


def batches(images, size=16, shuffle_seed=None):
    """The fixture `images`, or arrays like it, as a dataset."""
    dataset = tf.data.Dataset.from_tensor_slices(images)
    if shuffle_seed is not None:
        dataset = dataset.shuffle(64, seed=shuffle_seed)
    return dataset.batch(size)


def crossentropy(from_logits=True):
    return keras.losses.SparseCategoricalCrossentropy(from_logits=from_logits)


def sgd(rate=0.1):
    return keras.optimizers.SGD(rate, momentum=0.9)


def small_network(seed=0, activation=None, batch_norm=True, dropout=0.0):
    """One convolution, BatchNormalization and Dense, for `images`."""
    init = keras.initializers.GlorotUniform
    inputs = keras.Input((8, 8, 1))
    x = layers.Rescaling(1 / 255)(inputs)
    x = layers.Conv2D(
        6, 3, use_bias=False, kernel_initializer=init(seed), name="conv"
    )(x)
    if batch_norm:
        x = layers.BatchNormalization(name="bn", synchronized=True)(x)
    x = layers.ReLU()(x)
    x = layers.GlobalAveragePooling2D()(x)
    if dropout:
        x = layers.Dropout(dropout, seed=seed)(x)
    outputs = layers.Dense(
        4,
        activation=activation,
        kernel_initializer=init(seed + 100),
        name="classifier",
    )(x)
    return keras.Model(inputs, outputs, name=f"net{seed}")


def small_networks(count, **arguments):
    """Networks of the seeds 0, 1, ...; `arguments` as of `small_network`."""
    return [small_network(seed, **arguments) for seed in range(count)]


def one_dense(seed=0, units=3, activation=None):
    """Nothing but a Dense layer, for four numbers an example."""
    init = keras.initializers.GlorotUniform(seed)
    return keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(units, activation=activation, kernel_initializer=init),
        ]
    )


def conv_classifier(filters=4, seed=None, name=None):
    """A convolution with a bias, BatchNormalization and Dense, in a row.

    Takes images of shape (6, 6, 2) and tells three classes apart.
    """
    return keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            layers.Conv2D(
                filters,
                3,
                kernel_initializer=keras.initializers.GlorotUniform(seed),
                name="conv",
            ),
            layers.BatchNormalization(name="bn"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, name="classifier"),
        ],
        name=name,
    )


def compiled(model, **changes):
    """A classifier or a trainer, compiled; `changes` are those of a test."""
    usual = {
        "optimizer": sgd(),
        "loss": crossentropy(),
        "metrics": ["accuracy"],
    }
    model.compile(**usual | changes)
    return model


def make_trainer(networks, distillation="mutual", **changes):
    """A trainer, as `compiled` makes it."""
    trainer = keras_graft.GraftTrainer(networks, distillation=distillation)
    return compiled(trainer, **changes)


def train_resumably(trainer, images, folder, *callbacks, epochs=3, **fit):
    """A run in user code: graft, checkpoint, and it goes on if it can."""
    checkpoint = keras_graft.RunCheckpoint(folder)
    return trainer.fit(
        keras_graft.data.EpochOrdered(images, batch_size=16, seed=0),
        epochs=epochs,
        initial_epoch=checkpoint.restore(trainer),
        callbacks=[*callbacks, keras_graft.GraftCallback(), checkpoint],
        verbose=0,
        **fit,
    )


def functional(*last):
    inputs = keras.Input((4,))
    x = layers.Dense(5, activation="relu")(inputs)
    for layer in last:
        x = layer(x)
    return keras.Model(inputs, x)


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.classifier = layers.Dense(3, activation="softmax")

    def call(self, x):
        return self.classifier(x)


class Stop(Exception):
    pass


class StopAt(keras.callbacks.Callback):
    """Stands for the end of the process, in the middle of an epoch."""

    def __init__(self, epoch):
        super().__init__()
        self.at = epoch
        self.epoch = None

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == (self.at, 1):
            raise Stop


def slow_but(quick, names):
    """Parameters of a test of which only some are for `make test`."""
    return [
        pytest.param(name, marks=() if name in quick else pytest.mark.slow)
        for name in names
    ]
