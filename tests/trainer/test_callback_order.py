"""Whatever order callbacks are given in, they are called in the right one."""

import itertools

import keras
import numpy as np
import pytest
from builders import make_trainer
from builders import small_networks

import keras_graft
from keras_graft.optimizers.moving_averages import averages_of
from keras_graft.trainer.callback_order import in_order


class Shrink(keras.callbacks.Callback):
    """A user's callback that changes weights."""

    def on_epoch_begin(self, epoch, logs=None):
        kernel = self.model.networks[0].get_layer("conv").kernel
        kernel.assign(0.9 * kernel)


def five_callbacks():
    return [
        Shrink(),
        keras.callbacks.EarlyStopping(
            "network_0_invalid_filters", patience=1, mode="max"
        ),
        keras_graft.GraftCallback(amplitude=0.9),
        keras.callbacks.SwapEMAWeights(swap_on_epoch=True),
        keras_graft.InvalidFilterMonitor(threshold=5.0),
    ]


def averaging_trainer():
    """A trainer whose optimizers keep averages of the weights."""
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9, use_ema=True)
    return make_trainer(small_networks(2), optimizer=optimizer, metrics=None)


def test_every_permutation_has_one_order():
    expected = [
        keras.callbacks.SwapEMAWeights,
        keras_graft.GraftCallback,
        Shrink,
        keras_graft.InvalidFilterMonitor,
        keras.callbacks.EarlyStopping,
        keras.callbacks.History,
    ]
    for permuted in itertools.permutations(five_callbacks()):
        assert [type(c) for c in in_order(list(permuted))] == expected
    ready = keras.callbacks.CallbackList(five_callbacks())
    assert [type(c) for c in in_order(ready)] == expected


def test_own_callbacks_keep_their_order():
    own = [keras.callbacks.LambdaCallback() for _ in range(4)]
    assert (
        in_order([*own[:2], keras_graft.GraftCallback(), own[2:]])[1:5] == own
    )


def test_permutations_end_with_the_same_bits(images):
    ends = []
    for order in ((0, 1, 2, 3, 4), (4, 1, 3, 0, 2), (2, 4, 0, 3, 1)):
        callbacks = [five_callbacks()[i] for i in order]
        trainer = averaging_trainer()
        history = trainer.fit(
            *images,
            batch_size=16,
            shuffle=False,
            epochs=3,
            callbacks=callbacks,
            verbose=0,
        )
        ends.append((history.history, [v.numpy() for v in trainer.weights]))
    logs, weights = ends[0]
    assert len(logs["network_0_invalid_filters"]) >= 2
    for other_logs, other_weights in ends[1:]:
        assert other_logs == logs
        for left, right in zip(weights, other_weights, strict=True):
            np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("criterion", ["entropy", "gamma"])
def test_averages_are_grafted_with_the_weights_coefficients(criterion):
    trainer = averaging_trainer()
    trainer.optimizer.build_for(trainer.networks)
    rng = np.random.default_rng(0)
    averages = [averages_of(o) for o in trainer.optimizer.optimizers]
    for network, of_network in zip(trainer.networks, averages, strict=True):
        for variable in network.trainable_variables:
            value = rng.uniform(-1, 1, variable.shape)
            variable.assign(value)
            # Where weight and average are one, so they must stay.
            of_network[id(variable)].assign(value)
    graft = keras_graft.GraftCallback(criterion=criterion)
    graft.set_model(trainer)
    graft.on_train_begin()
    graft.on_epoch_begin(1)
    for network, of_network in zip(trainer.networks, averages, strict=True):
        for variable in network.trainable_variables:
            np.testing.assert_array_equal(
                variable.numpy(), of_network[id(variable)].numpy()
            )


def test_averages_are_the_weights_at_the_end(images):
    trainer = averaging_trainer()
    trainer.fit(*images, batch_size=16, verbose=0)
    for network, optimizer in zip(
        trainer.networks, trainer.optimizer.optimizers, strict=True
    ):
        averages = averages_of(optimizer)
        for variable in network.trainable_variables:
            np.testing.assert_array_equal(
                variable.numpy(), averages[id(variable)].numpy()
            )


def test_what_cannot_restore_several_networks_is_refused(images):
    callback = object.__new__(keras.callbacks.OrbaxCheckpoint)
    with pytest.raises(ValueError, match="RunCheckpoint"):
        averaging_trainer().fit(*images, callbacks=[callback], verbose=0)


def test_a_callback_list_serves_two_fits(images):
    def trainer_of(rate):
        optimizer = keras.optimizers.SGD(rate)
        return make_trainer(small_networks(2), optimizer=optimizer)

    def batches():
        for start in (0, 16, 32):
            yield tuple(part[start : start + 16] for part in images)

    history = keras.callbacks.History()
    given = keras.callbacks.CallbackList([history])
    # A generator that ends stops its own fit, and no other one.
    trainer_of(0.01).fit(
        batches(), steps_per_epoch=3, callbacks=given, verbose=0
    )
    assert given.callbacks == [history]
    trainer_of(0.002).fit(*images, epochs=3, callbacks=given, verbose=0)
    assert history.epoch == [0, 1, 2]
    rates = history.history["learning_rate_network_0"]
    np.testing.assert_allclose(rates[-3:], 0.002, rtol=1e-5)
    assert given.callbacks == [history]
