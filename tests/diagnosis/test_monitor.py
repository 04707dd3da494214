"""Counts of invalid filters in the logs of a run."""

import builders
import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_graft
from keras_graft.diagnosis import InvalidFilterMonitor
from keras_graft.diagnosis import diagnose

layers = keras.layers


def fifteen_filters(seed=0):
    """A network with filters of two kinds: 5, and 10 of depth 1."""
    return keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            layers.Conv2D(5, 3, kernel_initializer=normal(seed)),
            layers.BatchNormalization(),
            layers.DepthwiseConv2D(2, depth_multiplier=2),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )


def normal(seed):
    return keras.initializers.RandomNormal(seed=seed)


def data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(16, 6, 6, 1)).astype("float32")
    return x, rng.integers(0, 3, 16)


def compiled(model):
    return builders.compiled(
        model, optimizer=keras.optimizers.SGD(0.01), metrics=None
    )


class KillFilter(keras.callbacks.Callback):
    """Zeroes one more filter of the first convolution after each epoch."""

    def on_epoch_end(self, epoch, logs=None):
        layer = self.model.layers[0]
        kernel = np.array(layer.kernel)
        kernel[..., : epoch + 1] = 0.0
        layer.kernel.assign(kernel)


def test_plain_model_logs_its_count_at_the_end_of_every_epoch():
    model = compiled(fifteen_filters())
    model.layers[0].kernel.assign(np.ones((3, 3, 1, 5)))
    monitor = InvalidFilterMonitor(threshold=0.01)
    history = model.fit(
        *data(), epochs=3, verbose=0, callbacks=[KillFilter(), monitor]
    ).history
    assert history["invalid_filters"] == [1, 2, 3]
    assert monitor.before == [0]
    assert monitor.history == [[1], [2], [3]]
    assert monitor.total_filters == [5 + 5 * 2]


def test_count_is_that_of_the_diagnosis():
    model = compiled(fifteen_filters())
    model.layers[0].kernel.assign(
        np.array(model.layers[0].kernel) * [1, 1e-9, 1, 1e-9, 1]
    )
    monitor = InvalidFilterMonitor(threshold=0.4)
    model.fit(*data(), verbose=0, callbacks=[monitor])
    found = diagnose(model, thresholds=[0.4]).totals.invalid[0.4]
    assert monitor.history == [[found]]
    assert 2 <= found < 15


def test_each_network_of_a_trainer_has_a_log_of_its_own():
    networks = [fifteen_filters(0), fifteen_filters(1)]
    networks[1].layers[0].kernel.assign(np.zeros((3, 3, 1, 5)))
    networks[1].layers[0].trainable = False
    trainer = compiled(keras_graft.GraftTrainer(networks))
    monitor = InvalidFilterMonitor(threshold=1e-6)
    history = trainer.fit(
        *data(), epochs=2, verbose=0, callbacks=[monitor]
    ).history
    assert history["network_0_invalid_filters"] == [0, 0]
    assert history["network_1_invalid_filters"] == [5, 5]
    assert monitor.before == [0, 5]
    assert monitor.history == [[0, 5], [0, 5]]
    assert monitor.total_filters == [15, 15]


def test_network_that_diverged_is_no_healthy_one():
    model = compiled(fifteen_filters())
    monitor = InvalidFilterMonitor()
    model.layers[0].kernel.assign(np.full((3, 3, 1, 5), np.nan))
    model.layers[2].kernel.assign(np.ones((2, 2, 5, 2)))
    monitor.set_model(model)
    monitor.on_train_begin()
    assert monitor.before == [5]


def test_second_fit_begins_a_new_count():
    model = compiled(fifteen_filters())
    monitor = InvalidFilterMonitor()
    model.fit(*data(), epochs=2, verbose=0, callbacks=[monitor])
    last = monitor.history[-1]
    model.fit(*data(), epochs=1, verbose=0, callbacks=[monitor])
    assert monitor.before == last
    assert len(monitor.history) == 1


def test_replicas_are_counted_once():
    devices = [d.name for d in tf.config.list_logical_devices("CPU")[:2]]
    strategy = tf.distribute.MirroredStrategy(
        devices, tf.distribute.ReductionToOneDevice()
    )
    with strategy.scope():
        model = compiled(fifteen_filters())
    monitor = InvalidFilterMonitor(threshold=1e9)
    dataset = tf.data.Dataset.from_tensor_slices(data()).batch(8)
    model.fit(dataset, shuffle=False, verbose=0, callbacks=[monitor])
    assert monitor.history == [monitor.total_filters] == [[15]]


def test_config_round_trip_keeps_the_threshold():
    monitor = InvalidFilterMonitor(threshold=0.5)
    copy = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(monitor)
    )
    assert isinstance(copy, InvalidFilterMonitor)
    assert copy.threshold == 0.5


@pytest.mark.parametrize("threshold", [0.0, -1.0, float("nan")])
def test_threshold_that_is_no_positive_number_is_refused(threshold):
    with pytest.raises(ValueError, match="finite numbers above 0"):
        InvalidFilterMonitor(threshold=threshold)


def test_network_without_convolutions_is_refused_before_training():
    model = compiled(
        keras.Sequential(
            [keras.Input((6, 6, 1)), layers.Flatten(), layers.Dense(3)]
        )
    )
    with pytest.raises(ValueError, match="no convolution kernel"):
        model.fit(*data(), verbose=0, callbacks=[InvalidFilterMonitor()])
