import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_graft


def make_trainer(strategy, small_network, **network_arguments):
    with strategy.scope():
        networks = [small_network(k, **network_arguments) for k in range(2)]
        trainer = keras_graft.GraftTrainer(networks)
        trainer.compile(
            [keras.optimizers.SGD(r, momentum=0.9) for r in (0.05, 0.1)],
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
        )
    return trainer


def batches(images, size=32):
    return tf.data.Dataset.from_tensor_slices(images).batch(
        size, drop_remainder=True
    )


def weights_of(trainer):
    return [v.numpy() for network in trainer.networks for v in network.weights]


@pytest.mark.parametrize("steps", [1, 4])
def test_replicas_change_nothing_but_the_speed(
    images, small_network, two_replicas, steps
):
    ends, logs = [], []
    for strategy in (tf.distribute.get_strategy(), two_replicas):
        trainer = make_trainer(strategy, small_network, batch_norm=False)
        history = trainer.fit(
            batches(images, 64 // steps),
            validation_data=batches(images),
            verbose=0,
        )
        ends.append(weights_of(trainer))
        logs.append(history.history)
    for one, two in zip(*ends, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-5)
    assert logs[0].keys() == logs[1].keys()
    for name, values in logs[0].items():
        np.testing.assert_allclose(values, logs[1][name], atol=1e-5)


def test_both_replicas_hold_the_same_weights_after_grafts(
    images, small_network, two_replicas
):
    trainer = make_trainer(two_replicas, small_network)
    trainer.fit(
        batches(images),
        epochs=3,
        verbose=0,
        callbacks=[keras_graft.GraftCallback()],
    )
    # One graft more, so that its result is looked at, untrained.
    graft = keras_graft.GraftCallback(start=0, amplitude=0.0)
    graft.set_model(trainer)
    graft.on_train_begin()
    graft.on_epoch_begin(0)
    for network in trainer.networks:
        for variable in network.weights:
            first, second = variable.value.values
            np.testing.assert_array_equal(first.numpy(), second.numpy())
    first, second = (
        [variable.numpy() for variable in network.weights]
        for network in trainer.networks
    )
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


def test_network_masked_on_one_replica_is_masked_on_both(
    images, small_network, two_replicas
):
    x, y = images
    x = x.copy()
    # The second half of the batch, so the second replica's, is not finite
    # for network 1 only.
    bad = x.copy()
    bad[32:] = np.nan
    dataset = tf.data.Dataset.from_tensor_slices(
        ({"network_0": x, "network_1": bad}, y)
    ).batch(64)
    trainer = make_trainer(two_replicas, small_network)
    before = [v.numpy() for v in trainer.networks[1].weights]
    trainer.fit(dataset, verbose=0)
    assert trainer.status == ["live", "masked"]
    for variable, old in zip(trainer.networks[1].weights, before, strict=True):
        for copy in variable.value.values:
            np.testing.assert_array_equal(copy.numpy(), old)
    assert np.isfinite(weights_of(trainer)[0]).all()


def test_uneven_first_batch_does_not_stop_evaluation(
    images, small_network, two_replicas
):
    x, y = images
    trainer = make_trainer(two_replicas, small_network)
    logs = trainer.evaluate(x[:7], y[:7], verbose=0, return_dict=True)
    outputs = [n(x[:7], training=False).numpy() for n in trainer.networks]
    expected = [np.mean(o.argmax(-1) == y[:7]) for o in outputs]
    np.testing.assert_allclose(
        [logs["network_0_accuracy"], logs["network_1_accuracy"]], expected
    )


def test_xla_on_several_replicas_is_refused(small_network, two_replicas):
    with two_replicas.scope():
        trainer = keras_graft.GraftTrainer([small_network(0)])
        with pytest.raises(ValueError, match="one replica only"):
            trainer.compile("sgd", "mse", jit_compile=True)


@pytest.mark.parametrize("fit", [{}, {"validation_split": 0.234}])
def test_batch_that_leaves_a_replica_empty_is_refused(
    images, small_network, two_replicas, fit
):
    x, y = images
    # 49 = floor(64 * (1 - 0.234))
    given = 64 if fit else 49
    trainer = make_trainer(two_replicas, small_network)
    before = weights_of(trainer)
    with pytest.raises(ValueError, match="would have 1 of the 49.*2 replicas"):
        trainer.fit(
            x[:given],
            y[:given],
            batch_size=16,
            verbose=0,
            **fit,
        )
    for now, then in zip(weights_of(trainer), before, strict=True):
        np.testing.assert_array_equal(now, then)
