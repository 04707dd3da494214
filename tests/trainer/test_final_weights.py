"""The weights that a callback has put in place are the ones that ship."""

import keras
import numpy as np
import pytest
from builders import compiled
from builders import one_dense

import keras_graft
from keras_graft.swa import StochasticWeightAveraging


def data():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 64)
    x = rng.normal(size=(64, 4)).astype("float32")
    x[:, 0] += y
    return x, y


def trainer_of(rates, **given):
    trainer = keras_graft.GraftTrainer(
        [one_dense(k) for k in range(len(rates))],
        distillation=None,
        monitor="val_loss",
    )
    optimizers = [keras.optimizers.SGD(rate, **given) for rate in rates]
    return compiled(trainer, optimizer=optimizers, metrics=None)


def fit(trainer, *callbacks, epochs=6):
    x, y = data()
    return trainer.fit(
        x,
        y,
        batch_size=16,
        epochs=epochs,
        shuffle=False,
        validation_data=(x, y),
        callbacks=list(callbacks),
        verbose=0,
    ).history


def losses_of(trainer):
    x, y = data()
    logs = trainer.evaluate(x, y, batch_size=16, verbose=0, return_dict=True)
    return [logs[f"network_{k}_loss"] for k in range(len(trainer.networks))]


class Spoil(keras.callbacks.Callback):
    """From an epoch on, both networks get worse, the better one the more."""

    def __init__(self, start):
        super().__init__()
        self.start = start

    def on_epoch_begin(self, epoch, logs=None):
        if epoch >= self.start:
            for k, factor in enumerate((30.0, -5.0)):
                kernel = self.model.networks[k].layers[0].kernel
                kernel.assign(kernel * factor)


def test_early_stopping_ships_the_best_of_the_epoch_it_restores():
    trainer = trainer_of([0.1, 1e-4])
    stopping = keras.callbacks.EarlyStopping(
        "val_loss", patience=2, restore_best_weights=True
    )
    logs = fit(trainer, Spoil(3), stopping)
    assert stopping.best_epoch == 2
    at_end = [logs[f"val_network_{k}_loss"][-1] for k in range(2)]
    restored = [logs[f"val_network_{k}_loss"][2] for k in range(2)]
    assert np.argmin(at_end) == 1 and np.argmin(restored) == 0
    np.testing.assert_allclose(losses_of(trainer), restored, rtol=1e-5)
    assert trainer.best_network is trainer.networks[0]


class StopAfter(keras.callbacks.Callback):
    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = epoch == self.epoch


@pytest.mark.parametrize(
    "swap_on_epoch, stop",
    [
        (True, 2),
        (False, 5),
        pytest.param(True, 5, marks=pytest.mark.slow),
        pytest.param(False, 2, marks=pytest.mark.slow),
    ],
)
def test_averages_ship_wherever_fit_ends(swap_on_epoch, stop):
    trainer = trainer_of([0.5, 0.1], use_ema=True, ema_momentum=0.9)
    swap = keras.callbacks.SwapEMAWeights(swap_on_epoch=swap_on_epoch)
    logs = fit(trainer, StopAfter(stop), swap)
    judged = [logs[f"val_network_{k}_loss"][-1] for k in range(2)]
    assert len(logs["loss"]) == stop + 1
    np.testing.assert_allclose(losses_of(trainer), judged, rtol=1e-5)


def test_averages_that_early_stopping_restores_are_those_it_judged():
    trainer = trainer_of([0.1, 1e-4], use_ema=True, ema_momentum=0.5)
    stopping = keras.callbacks.EarlyStopping(
        "val_loss", patience=1, restore_best_weights=True
    )
    swap = keras.callbacks.SwapEMAWeights(swap_on_epoch=True)
    logs = fit(trainer, stopping, Spoil(3), swap)
    best = stopping.best_epoch
    assert best < len(logs["loss"]) - 1
    restored = [logs[f"val_network_{k}_loss"][best] for k in range(2)]
    np.testing.assert_allclose(losses_of(trainer), restored, rtol=1e-5)


def test_what_weight_averaging_puts_in_place_ships():
    trainer = trainer_of([0.1, 1e-4])
    means = StochasticWeightAveraging(start=1, validation_data=data())
    kernels = []
    seen = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: kernels.append(
            trainer.networks[0].layers[0].kernel.numpy()
        )
    )
    fit(trainer, means, seen, epochs=4)
    np.testing.assert_allclose(
        trainer.best_network.layers[0].kernel.numpy(),
        np.mean(kernels[1:], axis=0),
        rtol=1e-5,
    )


def rivals():
    restore = keras.callbacks.EarlyStopping(restore_best_weights=True)
    swap = keras.callbacks.SwapEMAWeights
    means = StochasticWeightAveraging
    return {
        "restore and mean": [restore, means(1)],
        "mean and swap": [swap(swap_on_epoch=True), means(1)],
        "two means": [means(1), means(2)],
        "two swaps": [swap(), swap()],
        "two that restore": [
            restore,
            keras.callbacks.EarlyStopping(restore_best_weights=True),
        ],
        "restore and late swap": [restore, swap()],
    }


@pytest.mark.parametrize("pair", rivals())
def test_pairs_that_undo_each_other_are_refused_before_training(pair):
    trainer = trainer_of([0.1], use_ema=True)
    with pytest.raises(ValueError, match="EarlyStopping|Averaging|Swap"):
        fit(trainer, *rivals()[pair])
    assert not trainer.optimizer.built


@pytest.mark.parametrize(
    "pair",
    [
        [keras.callbacks.EarlyStopping(), StochasticWeightAveraging(1)],
        [keras.callbacks.EarlyStopping(), keras.callbacks.SwapEMAWeights()],
    ],
)
def test_a_callback_that_only_stops_goes_with_any(pair):
    fit(trainer_of([0.1], use_ema=True), *pair, epochs=2)
