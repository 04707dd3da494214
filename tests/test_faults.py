"""Bad input that a trainer must notice by itself."""

import keras
import pytest
import tensorflow as tf

import keras_graft


def test_endless_data_without_steps_is_refused(images, small_network):
    trainer = keras_graft.GraftTrainer([small_network()])
    trainer.compile(
        "sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    endless = tf.data.Dataset.from_tensor_slices(images).batch(16).repeat()
    with pytest.raises(ValueError, match="steps_per_epoch"):
        trainer.fit(endless, verbose=0)
