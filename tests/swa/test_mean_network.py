"""`mean_network`: one network from N."""

import types

import keras
import numpy as np
import pytest
from builders import one_dense
from builders import small_networks

import keras_graft
from keras_graft.structure.batch_norm_statistics import reestimate_batch_norm


def drawn(networks, seed=0):
    rng = np.random.default_rng(seed)
    for network in networks:
        network.set_weights(
            [rng.uniform(0.1, 1, w.shape) for w in network.get_weights()]
        )
    return networks


def test_weights_are_the_mean_of_the_live_networks(images):
    networks = drawn(small_networks(3))
    trainer = types.SimpleNamespace(
        networks=networks, status=["live", "retired", "live"]
    )
    before = [network.get_weights() for network in networks]
    # What has diverged must reach nobody.
    networks[1].set_weights([w * np.nan for w in before[1]])
    mean = keras_graft.mean_network(trainer)
    for found, one, other in zip(
        mean.get_weights(), before[0], before[2], strict=True
    ):
        np.testing.assert_allclose(found, (one + other) / 2, rtol=1e-6)
    for k in (0, 2):
        for now, then in zip(networks[k].get_weights(), before[k], strict=True):
            np.testing.assert_array_equal(now, then)
    assert not {id(v) for v in mean.variables} & {
        id(v) for network in networks for v in network.variables
    }
    # Statistics of BatchNormalization are those of the mean on images.
    again = keras_graft.mean_network(trainer, lambda: images[0], batch_size=16)
    reestimate_batch_norm(mean, images[0], 16)
    for found, expected in zip(
        again.get_weights(), mean.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(found, expected)
    norm = again.get_layer("bn")
    assert np.all(norm.moving_mean != (before[0][3] + before[2][3]) / 2)


def test_a_mean_of_nothing_or_of_unlike_networks_is_refused():
    networks = [one_dense(0), one_dense(1)]
    trainer = types.SimpleNamespace(networks=networks, status=["masked"] * 2)
    with pytest.raises(ValueError, match="No network is live"):
        keras_graft.mean_network(trainer)
    unlike = keras.Sequential([keras.Input((4,)), keras.layers.Dense(5)])
    trainer = types.SimpleNamespace(networks=[networks[0], unlike])
    with pytest.raises(ValueError, match="Only networks of one architecture"):
        keras_graft.mean_network(trainer)
