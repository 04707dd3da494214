"""Each stand-in for a private method of Keras is still needed.

A test that fails here says that Keras has learnt it: drop the stand-in.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src.backend.tensorflow import trainer as keras_trainer

from keras_graft.distribution import keras_gaps


def test_another_keras_is_named_and_not_refused(monkeypatch, caplog):
    keras_gaps.warn_of_untested_keras()
    assert not caplog.text
    monkeypatch.setattr(keras, "__version__", "3.16.0")
    keras_gaps.warn_of_untested_keras()
    assert "tested with Keras 3.15.x only, and this is 3.16.0" in caplog.text


def test_keras_cannot_reduce_a_scalar_over_workers(two_replicas, monkeypatch):
    # The branch for several workers, on two replicas of one.
    monkeypatch.setattr(
        keras_trainer, "_collective_all_reduce_multi_worker", lambda _: True
    )

    def reduced(make):
        value = two_replicas.run(make)
        return keras_trainer.reduce_per_replica(value, two_replicas, "auto")

    with pytest.raises(ValueError, match="reduction dimension 0"):
        reduced(lambda: tf.constant(3.0))
    assert float(reduced(lambda: tf.constant([3.0]))) == 3.0


def test_logs_stay_scalars_on_one_worker(two_replicas):
    logs = {"loss": tf.constant(1.0)}
    assert keras_gaps.reducible(logs, two_replicas)["loss"].shape == ()


def test_keras_cannot_build_from_an_uneven_batch(two_replicas):
    # What `Prebuilt` keeps it from.
    x, y = np.zeros((7, 3), "float32"), np.zeros((7, 1), "float32")

    def compiled(kind):
        with two_replicas.scope():
            model = kind([keras.Input((3,)), keras.layers.Dense(1)])
            model.compile("sgd", "mse")
        return model

    class PrebuiltModel(keras_gaps.Prebuilt, keras.Sequential):
        pass

    with pytest.raises(tf.errors.InvalidArgumentError, match="same size"):
        compiled(keras.Sequential).evaluate(x, y, verbose=0)
    assert compiled(PrebuiltModel).evaluate(x, y, verbose=0) >= 0
