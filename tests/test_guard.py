import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_graft
from keras_graft.guard import all_finite


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


def finite(tensors):
    return float(tf.function(all_finite)(tensors))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", range(5))
def test_one_number_that_is_not_finite_is_found_in_any_tensor(bad, place):
    shapes = [(2, 3), (), (2, 3), (4,), (2, 3)]
    tensors = [np.ones(shape, "float32") for shape in shapes]
    assert finite([*tensors, np.arange(3)]) == 1.0
    tensors[place] = np.array(tensors[place])
    tensors[place].flat[-1] = bad
    assert finite([*tensors, np.arange(3)]) == 0.0
    assert float(all_finite(tensors)) == 0.0


def test_tensors_of_unknown_shapes_are_looked_at_one_by_one():
    step = tf.function(
        lambda a, b: all_finite([a, b]),
        input_signature=[tf.TensorSpec([None, 2])] * 2,
    )
    assert float(step(tf.ones([3, 2]), tf.ones([4, 2]))) == 1.0
    assert float(step(tf.ones([3, 2]), tf.fill([4, 2], np.nan))) == 0.0
    assert float(step(tf.fill([3, 2], np.nan), tf.ones([4, 2]))) == 0.0


def test_tensors_of_one_shape_share_a_reduction():
    def reductions(count):
        specs = [tf.TensorSpec([3]), tf.TensorSpec([])] * count
        step = tf.function(lambda *given: all_finite(given))
        operations = step.get_concrete_function(*specs).graph.get_operations()
        return sum(operation.type == "All" for operation in operations)

    assert reductions(1) == reductions(5)
