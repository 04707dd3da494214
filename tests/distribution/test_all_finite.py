import numpy as np
import pytest
import tensorflow as tf

from keras_graft.distribution.replicas import all_finite


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
