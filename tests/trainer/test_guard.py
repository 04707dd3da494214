import keras
import numpy as np
import pytest
import tensorflow as tf
from builders import make_trainer
from builders import small_network


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
def test_data_of_unknown_length_is_counted_as_often_as_it_is_trained_on(images):
    known = tf.data.Dataset.from_tensor_slices(images).batch(
        16, drop_remainder=True
    )
    # Nobody knows what a filter leaves; the step after the last one fails.
    unknown = known.filter(lambda x, y: True)
    histories, counts = [], []
    for dataset in (known, unknown):
        optimizer = keras.optimizers.SGD(0.05)
        trainer = make_trainer(
            [small_network(dropout=0.5)], None, optimizer=[optimizer]
        )
        history = trainer.fit(
            dataset, validation_data=dataset, epochs=2, verbose=0
        )
        histories.append(history.history)
        counts.append(int(optimizer.iterations.numpy()))
    assert counts == [8, 8]
    for name, values in histories[0].items():
        np.testing.assert_array_equal(histories[1][name], values, name)
