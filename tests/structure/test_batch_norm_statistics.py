import types

import keras
import numpy as np
import pytest
from builders import conv_classifier
from keras import layers

from keras_graft.grafting import GraftCallback
from keras_graft.grafting import ReestimateBatchNorm
from keras_graft.grafting import reestimate_batch_norm


def some_images(n=12):
    return np.random.default_rng(0).normal(3, 2, (n, 6, 6, 2)).astype("float32")


def batch_moments(of_network, batches):
    """Mean over batches of the batch's own mean and variance."""
    conv = of_network.get_layer("conv")
    outputs = [np.asarray(conv(batch)) for batch in batches]
    return (
        np.mean([o.mean(axis=(0, 1, 2)) for o in outputs], axis=0),
        np.mean([o.var(axis=(0, 1, 2)) for o in outputs], axis=0),
    )


def assert_statistics(of_network, expected):
    norm = of_network.get_layer("bn")
    np.testing.assert_allclose(norm.moving_mean, expected[0], rtol=1e-4)
    np.testing.assert_allclose(norm.moving_variance, expected[1], rtol=1e-4)


def test_statistics_are_the_mean_over_whole_batches():
    model, images = conv_classifier(), some_images(14)
    model.get_layer("bn").moving_mean.assign([50.0, 60.0, 70.0, 80.0])
    momentum = model.get_layer("bn").momentum
    before = [v.numpy() for v in model.trainable_variables]
    reestimate_batch_norm(model, images, batch_size=4)
    assert_statistics(
        model, batch_moments(model, [images[i : i + 4] for i in (0, 4, 8)])
    )
    # Nothing else has changed, the momentum included.
    assert model.get_layer("bn").momentum == momentum
    for variable, value in zip(model.trainable_variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)


def test_fewer_images_than_a_batch_are_one_batch():
    model, images = conv_classifier(), some_images(5)
    reestimate_batch_norm(model, images)
    assert_statistics(model, batch_moments(model, [images]))


def test_momentum_is_given_back_where_the_images_do_not_fit():
    model = conv_classifier()
    momentum = model.get_layer("bn").momentum
    with pytest.raises(ValueError):
        reestimate_batch_norm(model, np.zeros((4, 6, 6, 7), "float32"))
    assert model.get_layer("bn").momentum == momentum


def test_frozen_layers_keep_their_statistics():
    model = conv_classifier()
    model.get_layer("bn").trainable = False
    reestimate_batch_norm(model, some_images())
    np.testing.assert_array_equal(model.get_layer("bn").moving_mean, [0.0] * 4)


def test_no_images_are_refused():
    with pytest.raises(ValueError, match="`images` is empty"):
        reestimate_batch_norm(conv_classifier(), some_images(0))


def test_the_callback_acts_after_a_graft_on_live_networks_only():
    networks = [conv_classifier(seed=k) for k in range(3)]
    model = types.SimpleNamespace(
        networks=networks, status=["live", "retired", "live"]
    )
    graft = GraftCallback(start=1, every=2)
    reestimate = ReestimateBatchNorm(graft, some_images(), batch_size=6)
    for callback in (graft, reestimate):
        callback.set_model(model)
        callback.on_train_begin()
    for callback in (graft, reestimate):
        callback.on_epoch_begin(0)
    np.testing.assert_array_equal(
        networks[0].get_layer("bn").moving_mean, [0.0] * 4
    )
    for callback in (graft, reestimate):
        callback.on_epoch_begin(1)
    images = some_images()
    for k in (0, 2):
        assert_statistics(
            networks[k], batch_moments(networks[k], [images[:6], images[6:]])
        )
    np.testing.assert_array_equal(
        networks[1].get_layer("bn").moving_mean, [0.0] * 4
    )


@pytest.mark.parametrize("synchronized", [False, True])
def test_every_replica_holds_the_new_statistics(two_replicas, synchronized):
    with two_replicas.scope():
        inputs = keras.Input((6, 6, 2))
        x = layers.Conv2D(3, 3, name="conv")(inputs)
        x = layers.BatchNormalization(synchronized=synchronized, name="bn")(x)
        model = keras.Model(inputs, layers.GlobalAveragePooling2D()(x))
        images = some_images(8)
        reestimate_batch_norm(model, images, batch_size=4)
        expected = batch_moments(model, [images[:4], images[4:]])
    norm = model.get_layer("bn")
    for variable, value in zip(
        (norm.moving_mean, norm.moving_variance), expected, strict=True
    ):
        copies = two_replicas.experimental_local_results(variable.value)
        assert len(copies) == 2
        for copy in copies:
            np.testing.assert_allclose(copy, value, rtol=1e-4)
