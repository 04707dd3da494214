import keras
import numpy as np
import pytest
import tensorflow as tf
from builders import make_trainer
from builders import sgd
from builders import small_network

import keras_graft
from keras_graft.checkpoint.training_state import assign_arrays
from keras_graft.checkpoint.training_state import read_arrays


def normalised_first(seed):
    """A network in which no gradient crosses BatchNormalization.

    Through its statistics an overflow would reach the other replica.
    """
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.BatchNormalization(synchronized=True)(x)
    x = keras.layers.Flatten()(x)
    init = keras.initializers.GlorotUniform(seed)
    outputs = keras.layers.Dense(4, kernel_initializer=init)(x)
    return keras.Model(inputs, outputs)


def replicated(strategy, make_network):
    with strategy.scope():
        networks = [make_network(seed) for seed in range(2)]
        return make_trainer(networks, optimizer=sgd(0.05))


def steps_taken(trainer):
    return [int(o.iterations.numpy()) for o in trainer.optimizer.optimizers]


def batches(images, weights):
    x, y = images
    both = {"network_0": x, "network_1": x}
    return tf.data.Dataset.from_tensor_slices((both, y, weights)).batch(64)


@pytest.mark.parametrize("policy", ["mixed_float16"], indirect=True)
def test_float16_overflow_on_any_replica_skips_that_network_on_all(
    images, two_replicas, policy
):
    trainer = replicated(two_replicas, normalised_first)
    ones = np.ones(64, "float32")
    plain = {"network_0": ones, "network_1": ones}
    trainer.fit(batches(images, plain), verbose=0)
    before = read_arrays(trainer)
    weights = [v for v in before if v.startswith(("network_1", "optimizer_1"))]
    scales = [o.dynamic_scale for o in trainer.optimizer.optimizers]
    for replica in (0, 1):
        assign_arrays(trainer, before)
        heavy = np.zeros(64, "float32")
        # The loss is finite; times the scale of 2**15 its gradient is not.
        heavy[32 * replica : 32 * replica + 32] = 1e4
        trainer.fit(batches(images, plain | {"network_1": heavy}), verbose=0)
        after = read_arrays(trainer)
        for name in weights:
            if name.endswith(("scale", "counter")):
                continue
            np.testing.assert_array_equal(after[name], before[name], name)
        assert [
            [float(copy) for copy in scale.value.values] for scale in scales
        ] == [[2.0**15] * 2, [2.0**14] * 2]
        assert trainer.status == ["live", "live"]
        assert steps_taken(trainer) == [2, 1]
        statistics = "network_0/0002/mean"
        assert (after[statistics] != before[statistics]).all()
        # Equal copies need no entry of their own.
        assert set(after) == set(before)
    trainer.fit(batches(images, plain), verbose=0)
    assert steps_taken(trainer) == [3, 2]
    assert all(np.isfinite(v).all() for v in trainer.networks[1].get_weights())


@pytest.mark.parametrize("policy", ["mixed_bfloat16"], indirect=True)
@pytest.mark.slow
def test_bfloat16_trains_on_two_replicas_as_on_one(
    images, two_replicas, policy
):
    ends = []
    for strategy in (tf.distribute.get_strategy(), two_replicas):
        trainer = replicated(strategy, small_network)
        dataset = tf.data.Dataset.from_tensor_slices(images).batch(16)
        graft = keras_graft.GraftCallback(amplitude=0.0)
        trainer.fit(dataset, epochs=2, verbose=0, callbacks=[graft])
        ends.append([v.numpy() for v in trainer.networks[0].weights])
    for one, two in zip(*ends, strict=True):
        assert one.dtype == "float32"
        # bfloat16 has 8 bits: sums over a half differ from those over all.
        np.testing.assert_allclose(one, two, atol=0.01)
