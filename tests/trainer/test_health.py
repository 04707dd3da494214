"""A network that diverges harms no other (promise 2)."""

import logging

import keras
import numpy as np
import pytest
from builders import make_trainer
from builders import small_networks

import keras_graft
from keras_graft.optimizers.moving_averages import averages_of
from keras_graft.trainer.healing import heal


class AtEveryEpoch(keras.callbacks.Callback):
    """Calls a function of the trainer as each epoch from `start` begins."""

    def __init__(self, start, function):
        super().__init__()
        self.start = start
        self.function = function

    def on_epoch_begin(self, epoch, logs=None):
        if epoch >= self.start:
            self.function(self.model)


def poison(*positions):
    def function(trainer):
        for k in positions:
            kernel = trainer.networks[k].get_layer("conv").kernel
            kernel.assign(np.full(kernel.shape, np.nan))

    return function


def retire(trainer):
    trainer.status[1] = "retired"


def fit(trainer, images, *callbacks, epochs=6):
    return trainer.fit(
        *images,
        batch_size=16,
        shuffle=False,
        epochs=epochs,
        validation_data=images,
        callbacks=[keras_graft.GraftCallback(), *callbacks],
        verbose=0,
    )


def test_network_that_always_diverges_is_as_good_as_retired(images, caplog):
    ends = []
    for function in (poison(1), retire):
        trainer = make_trainer(small_networks(3))
        with caplog.at_level(logging.WARNING):
            fit(trainer, images, AtEveryEpoch(1, function))
        assert trainer.status == ["live", "retired", "live"]
        assert trainer.best_network is not trainer.networks[1]
        ends.append(
            [v.numpy() for k in (0, 2) for v in trainer.networks[k].weights]
        )
    for left, right in zip(*ends, strict=True):
        np.testing.assert_array_equal(left, right)
    text = caplog.text
    assert "masked at the end of epoch 1" in text
    assert "first such weight: conv/kernel" in text
    assert text.count("network_1 is healed: it takes the weights of net") == 3
    assert "healed 3 times already" in text


def test_healed_network_takes_part_again(images):
    trainer = make_trainer(small_networks(2))
    once = AtEveryEpoch(2, poison(0))
    broken = []
    once.on_epoch_end = lambda epoch, logs=None: (
        broken.append(list(trainer.status)),
        setattr(once, "start", 99 if epoch == 2 else once.start),
    )
    history = fit(trainer, images, once, epochs=5).history
    assert broken[2] == ["masked", "live"]
    assert trainer.status == ["live", "live"]
    assert np.isnan(history["network_0_loss"][2])
    assert np.isfinite(history["network_0_loss"][3:]).all()
    assert all(
        np.isfinite(v.numpy()).all() for v in trainer.networks[0].weights
    )


@pytest.mark.parametrize("wrapped", [False, True])
def test_healing_gives_weights_of_the_peer_and_fresh_slots(wrapped):
    networks = small_networks(2)
    optimizers = []
    for network in networks:
        optimizer = keras.optimizers.Adagrad(0.5, use_ema=True)
        if wrapped:
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        optimizer.build(network.trainable_variables)
        optimizers.append(optimizer)
    ill, well = optimizers
    rng = np.random.default_rng(0)
    for optimizer in optimizers:
        for variable in optimizer.variables:
            if variable.shape:
                variable.assign(rng.uniform(2, 3, variable.shape))
    inner = getattr(well, "inner_optimizer", well)
    inner.iterations.assign(17)
    getattr(ill, "inner_optimizer", ill).learning_rate = 0.25
    poison(0)(type("Networks", (), {"networks": networks}))
    heal(networks[0], ill, networks[1], well)
    for left, right in zip(
        networks[0].weights, networks[1].weights, strict=True
    ):
        np.testing.assert_array_equal(left.numpy(), right.numpy())
    healed = getattr(ill, "inner_optimizer", ill)
    assert int(healed.iterations) == 17
    assert float(healed.learning_rate) == 0.25
    for variable in healed.variables:
        if "accumulator" in variable.path:
            np.testing.assert_array_equal(variable.numpy(), np.float32(0.1))
    for left, right in zip(
        averages_of(ill).values(), averages_of(well).values(), strict=True
    ):
        np.testing.assert_array_equal(left.numpy(), right.numpy())


def test_training_stops_when_all_have_diverged_and_the_good_checkpoint_stays(
    images, tmp_path, caplog
):
    trainer = make_trainer(small_networks(2))
    checkpoint = keras_graft.RunCheckpoint(tmp_path)
    with caplog.at_level(logging.WARNING):
        history = fit(
            trainer, images, AtEveryEpoch(2, poison(0, 1)), checkpoint
        )
    assert trainer.status == ["retired", "retired"]
    assert history.epoch == [0, 1, 2]
    assert "no live peer" in caplog.text
    assert "Every network diverged" in caplog.text
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "epoch-000001",
        "epoch-000002",
    ]
    again = make_trainer(small_networks(2))
    assert keras_graft.RunCheckpoint(tmp_path).restore(again) == 2
    assert again.status == ["live", "live"]


def test_one_bad_batch_retires_nobody(images):
    x, y = images[0].copy(), images[1]
    x[-1] = np.inf
    trainer = make_trainer(small_networks(2))
    trainer.fit(x, y, batch_size=16, shuffle=False, epochs=2, verbose=0)
    assert trainer.status == ["masked", "masked"]
    trainer.fit(*images, batch_size=16, verbose=0)
    assert trainer.status == ["live", "live"]
