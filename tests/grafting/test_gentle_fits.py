"""Gentle grafts in a `fit`: halves, rates, resuming, replicas."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from builders import make_trainer
from builders import small_networks

import keras_graft
from keras_graft.grafting import GraftCallback


def apart(trainer):
    """The networks' kernels, one less the other."""
    one, other = (n.get_layer("conv").kernel.numpy() for n in trainer.networks)
    return one - other


def still_trainer(rates=(0.0, 0.0), **compiled):
    """A trainer whose weights do not move by themselves."""
    optimizer = [keras.optimizers.SGD(rate) for rate in rates]
    return make_trainer(
        small_networks(2), None, **{"optimizer": optimizer, **compiled}
    )


def test_the_difference_halves_in_a_half_life(images):
    trainer = still_trainer()
    before = apart(trainer)
    graft = GraftCallback(half_life=2, every_steps=1, start=0)
    # No move comes before the run's first step.
    trainer.fit(*images, batch_size=16, epochs=2, verbose=0, callbacks=[graft])
    gone = apart(trainer) / before
    np.testing.assert_allclose(gone, 0.5 ** (7 / 8), rtol=1e-4)
    trainer.fit(
        *images,
        batch_size=16,
        epochs=6,
        initial_epoch=2,
        verbose=0,
        callbacks=[graft],
    )
    gone = apart(trainer) / before
    np.testing.assert_allclose(gone, 0.5 ** (23 / 8), rtol=1e-4)


def test_steps_on_end_move_as_far_along_a_course(images):
    trainer = still_trainer(steps_per_execution=2)
    before = apart(trainer)
    graft = GraftCallback(
        half_life=[(0, 4.0), (2, 1.0)], every_steps=1, target="mean"
    )
    trainer.fit(*images, batch_size=16, epochs=3, verbose=0, callbacks=[graft])
    # Before the steps 4, 6, 8 and 10, two steps each.
    np.testing.assert_allclose(
        apart(trainer) / before, 0.5 ** (1 / 4 + 1), rtol=1e-4
    )


def test_a_pull_follows_the_rate(images):
    rate = keras.optimizers.schedules.PiecewiseConstantDecay(
        [7], [1e-9, 2.5e-10]
    )
    trainer = still_trainer(optimizer=keras.optimizers.SGD(rate))
    before = apart(trainer)
    graft = GraftCallback(
        half_life=1, every_steps=4, target="mean", follow_rate=True
    )
    trainer.fit(*images, batch_size=16, epochs=3, verbose=0, callbacks=[graft])
    # Before the steps 4 and 8: half of the way, then an eighth.
    np.testing.assert_allclose(apart(trainer) / before, 7 / 16, rtol=1e-4)


def test_a_rate_that_begins_with_zero_cannot_be_followed(images):
    graft = GraftCallback(half_life=1, follow_rate=True)
    with pytest.raises(ValueError, match="`follow_rate` follows the learning"):
        still_trainer().fit(*images, verbose=0, callbacks=[graft])


def test_data_of_unknown_length_is_refused(images):
    graft = GraftCallback(half_life=1)
    endless = tf.data.Dataset.from_generator(
        lambda: iter([(images[0][:4], images[1][:4])] * 2),
        output_signature=(
            tf.TensorSpec((4, 8, 8, 1)),
            tf.TensorSpec((4,), tf.int32),
        ),
    )
    with pytest.raises(ValueError, match="Give `fit` its `steps_per_epoch`"):
        still_trainer().fit(endless, verbose=0, callbacks=[graft])


def resumable(images, folder, epochs):
    trainer = make_trainer(small_networks(2), "mutual")
    grafts = [
        GraftCallback(half_life=0.5, every_steps=3, follow_rate=True),
        GraftCallback(source="exchange", every_steps=3, share=0.2),
    ]
    history = trainer.fit(
        keras_graft.data.EpochOrdered(images, batch_size=16, seed=0),
        epochs=epochs,
        callbacks=[*grafts, keras_graft.RunCheckpoint(folder)],
        verbose=0,
    )
    weights = [w.numpy() for n in trainer.networks for w in n.weights]
    return weights, history.history


def test_a_resumed_run_ends_with_the_same_bits(images, tmp_path):
    straight, log = resumable(images, tmp_path / "a", 3)
    resumable(images, tmp_path / "b", 1)
    resumed, again = resumable(images, tmp_path / "b", 3)
    for one, other in zip(straight, resumed, strict=True):
        np.testing.assert_array_equal(one, other)
    assert log == again
