"""A `fit` that ends with averaged weights."""

import keras
import numpy as np
import pytest
from builders import compiled
from builders import make_trainer
from builders import small_network
from builders import small_networks

import keras_graft
from keras_graft.swa import HeldSchedule
from keras_graft.swa import StochasticWeightAveraging


def two_networks():
    return make_trainer(small_networks(2), None, optimizer="sgd")


class Weights(keras.callbacks.Callback):
    """The weights at the end of each epoch."""

    def __init__(self):
        super().__init__()
        self.by_epoch = []

    def on_epoch_end(self, epoch, logs=None):
        networks = getattr(self.model, "networks", None) or [self.model]
        self.by_epoch.append([n.get_weights() for n in networks])


def mean_of(weights):
    return [np.mean(w, axis=0) for w in zip(*weights, strict=True)]


def assert_close(found, expected):
    for mine, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-5, atol=1e-6)


def test_each_network_ends_as_the_mean_of_its_last_epochs(images):
    trainer, seen = two_networks(), Weights()
    swa = StochasticWeightAveraging(start=1)
    trainer.fit(*images, epochs=4, verbose=0, callbacks=[swa, seen])
    assert swa.num_epochs == [3, 3]
    for k, network in enumerate(trainer.networks):
        last = [epoch[k] for epoch in seen.by_epoch[1:]]
        assert_close(network.get_weights(), mean_of(last))
        assert not np.allclose(network.get_weights()[0], last[-1][0])


def test_grafted_networks_have_one_average_together(images):
    trainer, seen = two_networks(), Weights()
    swa = StochasticWeightAveraging(start=2, together=True)
    graft = keras_graft.GraftCallback()
    trainer.fit(*images, epochs=4, verbose=0, callbacks=[graft, swa, seen])
    expected = mean_of([w for epoch in seen.by_epoch[2:] for w in epoch])
    for network in trainer.networks:
        assert_close(network.get_weights(), expected)


def test_plain_keras_model_is_averaged_too(images):
    model, seen = compiled(small_network(), optimizer="sgd"), Weights()
    swa = StochasticWeightAveraging(start=0, validation_data=images)
    model.fit(*images, epochs=3, verbose=0, callbacks=[seen, swa])
    assert_close(
        model.get_weights(), mean_of([epoch[0] for epoch in seen.by_epoch])
    )


def test_fit_that_ends_before_the_start_keeps_its_weights(images):
    trainer, seen = two_networks(), Weights()
    swa = StochasticWeightAveraging(start=5)
    trainer.fit(*images, epochs=2, verbose=0, callbacks=[swa, seen])
    assert_close(trainer.networks[0].get_weights(), seen.by_epoch[-1][0])


@pytest.mark.parametrize("lazy", [False, True])
def test_statistics_are_those_of_the_average(images, lazy):
    trainer = two_networks()
    x, _ = images
    swa = StochasticWeightAveraging(
        start=1, images=(lambda: x) if lazy else x, batch_size=len(x)
    )
    trainer.fit(*images, epochs=3, verbose=0, callbacks=[swa])
    for network in trainer.networks:
        to_norm = keras.Model(network.input, network.get_layer("conv").output)
        inside = np.asarray(to_norm(x))
        norm = network.get_layer("bn")
        assert_close([norm.moving_mean], [inside.mean((0, 1, 2))])
        assert_close([norm.moving_variance], [inside.var((0, 1, 2))])


def test_networks_are_judged_as_averages(images):
    trainer = two_networks()
    x, y = images
    swa = StochasticWeightAveraging(start=0, images=x, validation_data=(x, y))
    trainer.fit(
        x, y, epochs=3, verbose=0, callbacks=[swa], validation_data=(x, y)
    )
    logs = trainer.evaluate(x, y, verbose=0, return_dict=True)
    scores = [logs["network_0_accuracy"], logs["network_1_accuracy"]]
    np.testing.assert_allclose(trainer.health.scores, scores, rtol=1e-6)
    best = trainer.networks.index(trainer.best_network)
    assert best == int(np.argmax(scores))


def test_network_that_is_out_is_left_alone(images):
    trainer = two_networks()
    trainer.fit(*images, epochs=1, verbose=0)
    trainer.status[1] = "retired"
    before = trainer.networks[1].get_weights()
    swa = StochasticWeightAveraging(start=0, images=images[0])
    trainer.fit(*images, epochs=2, verbose=0, callbacks=[swa])
    assert swa.num_epochs == [2, 0]
    assert_close(trainer.networks[1].get_weights(), before)


class PowerCut(keras.callbacks.Callback):
    """Ends a `fit` as a crash does."""

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 3:
            raise KeyboardInterrupt


@pytest.mark.parametrize("epochs", [6, pytest.param(4, marks=pytest.mark.slow)])
def test_average_goes_on_where_a_run_was_killed(images, tmp_path, epochs):
    def run(folder, *callbacks, start):
        trainer = two_networks()
        checkpoint = keras_graft.RunCheckpoint(folder)
        swa = StochasticWeightAveraging(start=start, images=images[0])
        trainer.fit(
            keras_graft.data.EpochOrdered(images, batch_size=8, seed=0),
            epochs=epochs,
            initial_epoch=checkpoint.restore(trainer),
            callbacks=[swa, checkpoint, *callbacks],
            verbose=0,
        )
        return trainer, swa

    whole, _ = run(tmp_path / "whole", start=epochs - 3)
    with pytest.raises(KeyboardInterrupt):
        # A run that is made longer later on counts other epochs then.
        run(tmp_path / "killed", PowerCut(), start=1)
    resumed, swa = run(tmp_path / "killed", start=epochs - 3)
    assert swa.num_epochs == [3, 3]
    for one, other in zip(whole.networks, resumed.networks, strict=True):
        for mine, theirs in zip(
            one.get_weights(), other.get_weights(), strict=True
        ):
            np.testing.assert_array_equal(mine, theirs)


@pytest.mark.slow
def test_two_replicas_average_like_one_device(images, two_replicas):
    def run():
        trainer = two_networks()
        swa = StochasticWeightAveraging(
            start=1, images=images[0], batch_size=8, validation_data=images
        )
        trainer.fit(
            *images,
            batch_size=8,
            shuffle=False,
            epochs=3,
            verbose=0,
            callbacks=[swa],
        )
        return trainer.networks[0].get_weights()

    alone = run()
    with two_replicas.scope():
        together = run()
    for one, two in zip(alone, together, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-3, atol=1e-5)


def test_epoch_below_zero_is_refused():
    with pytest.raises(ValueError, match="Received: -1"):
        StochasticWeightAveraging(start=-1)
    with pytest.raises(ValueError, match="Received: -1"):
        HeldSchedule(0.1, -1)
