"""Distillation between the inner layers of networks."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_graft.distillation import DistillationInputs
from keras_graft.distillation import FeatureTaps
from keras_graft.distillation import PeerFeatureDistillation


def term_of(weight=1.0, teacher="hidden", student="hidden", loss="mse"):
    return PeerFeatureDistillation(
        keras.distillation.FeatureDistillation(
            loss=loss, teacher_layer_name=teacher, student_layer_name=student
        ),
        weight=weight,
    )


def losses(term, features, live=None):
    n = len(features)
    found = term.losses(
        DistillationInputs(
            [None] * n,
            [tf.zeros([5, 2])] * n,
            tf.constant(live or [1.0] * n),
            [None] * n,
            None,
            [{"hidden": tf.constant(f, "float32")} for f in features],
        )
    )
    return [float(loss) for loss in found]


def some_features(n=3):
    rng = np.random.default_rng(0)
    return [rng.normal(size=(5, 4)) for _ in range(n)]


def test_value_is_the_mean_over_peers():
    found = losses(term_of(weight=0.5), some_features())
    f = some_features()
    expected = [
        0.5 * np.mean([np.mean((f[j] - f[k]) ** 2) for j in range(3) if j != k])
        for k in range(3)
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_network_that_is_not_live_teaches_nobody():
    f = some_features()
    f[1][:] = np.nan
    found = losses(term_of(), f, [1.0, 0.0, 1.0])
    expected = np.mean((f[0] - f[2]) ** 2)
    np.testing.assert_allclose([found[0], found[2]], [expected] * 2, rtol=1e-5)
    assert np.isfinite(found[1])
    assert losses(term_of(), f, [1.0, 0.0, 0.0])[0] == 0.0


def test_the_gradient_reaches_the_network_that_learns_only():
    features = [tf.Variable(f, dtype="float32") for f in some_features(2)]
    with tf.GradientTape() as tape:
        loss = term_of().losses(
            DistillationInputs(
                [None] * 2,
                [tf.zeros([5, 2])] * 2,
                tf.ones([2]),
                [None] * 2,
                None,
                [{"hidden": f} for f in features],
            )
        )[0]
    own, peer = tape.gradient(loss, features)
    f = some_features(2)
    np.testing.assert_allclose(own, 2 * (f[0] - f[1]) / f[0].size, rtol=1e-5)
    assert peer is None


class Counting(keras.layers.Dense):
    calls = 0

    def call(self, inputs):
        Counting.calls += 1
        return super().call(inputs)


def test_taps_give_what_the_layers_put_out_in_one_call():
    def counting():
        inputs = keras.Input((4,))
        x = Counting(3, name="hidden")(inputs)
        return keras.Model(inputs, keras.layers.Dense(2)(x))

    networks = [counting() for _ in range(2)]
    taps = FeatureTaps(networks, ["hidden"])
    x = np.ones((3, 4), "float32")
    Counting.calls = 0
    outputs, features = taps(1, x, training=True)
    assert Counting.calls == 1
    np.testing.assert_allclose(outputs, networks[1](x), rtol=1e-6)
    np.testing.assert_allclose(
        features["hidden"], networks[1].get_layer("hidden")(x), rtol=1e-6
    )


def test_a_layer_that_is_not_there_is_named():
    with pytest.raises(ValueError, match=r"network_1 has no layer \['hid"):
        FeatureTaps(
            [
                keras.Sequential(
                    [keras.Input((4,)), keras.layers.Dense(2, name=name)]
                )
                for name in ("hidden", "other")
            ],
            ["hidden"],
        )


class Subclassed(keras.Model):
    def call(self, x):
        return x


def test_a_subclassed_network_is_refused():
    with pytest.raises(ValueError, match="network_0 is subclassed"):
        FeatureTaps([Subclassed()], ["hidden"])


@pytest.mark.parametrize(
    "loss, message",
    [
        ("mse", "`loss` must be a keras.distillation.FeatureDistillation"),
        (
            keras.distillation.FeatureDistillation(teacher_layer_name="a"),
            "`loss` must name both layers",
        ),
    ],
)
def test_what_is_no_feature_distillation_is_refused(loss, message):
    with pytest.raises(ValueError, match=message):
        PeerFeatureDistillation(loss)


def test_serialisation_round_trip():
    term = term_of(weight=0.5, teacher="a", student="b", loss="mae")
    loaded = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(term)
    )
    assert type(loaded) is PeerFeatureDistillation
    assert loaded.weight == 0.5
    assert loaded.feature_layers == ("a", "b")
    assert loaded.get_config() == term.get_config()


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", None])
def test_loss_object_weighs_the_same_on_two_replicas(two_replicas, reduction):
    loss = keras.losses.MeanSquaredError(reduction=reduction)
    features = [[[1.0, 3.0]], [[2.0, 5.0]]]
    found = two_replicas.run(lambda: losses(term_of(loss=loss), features))
    for of_network in found:
        # (1 + 4) / 2 on each replica; the trainer divides by their number.
        for value in two_replicas.experimental_local_results(of_network):
            assert value == pytest.approx(2.5)
