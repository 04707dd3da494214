import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_graft


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
def test_data_of_unknown_length_is_counted_as_often_as_it_is_trained_on(
    images, small_network
):
    known = tf.data.Dataset.from_tensor_slices(images).batch(
        16, drop_remainder=True
    )
    # Nobody knows what a filter leaves; the step after the last one fails.
    unknown = known.filter(lambda x, y: True)
    histories, counts = [], []
    for dataset in (known, unknown):
        trainer = keras_graft.GraftTrainer(
            [small_network(0, dropout=0.5)], distillation=None
        )
        optimizer = keras.optimizers.SGD(0.05)
        trainer.compile(
            [optimizer],
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
        )
        history = trainer.fit(
            dataset, validation_data=dataset, epochs=2, verbose=0
        )
        histories.append(history.history)
        counts.append(int(optimizer.iterations.numpy()))
    assert counts == [8, 8]
    for name, values in histories[0].items():
        np.testing.assert_array_equal(histories[1][name], values, name)
