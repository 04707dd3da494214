import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_graft
from keras_graft.distillation import DistillationInputs
from keras_graft.distillation import MutualDistillation
from keras_graft.distillation import peer_probabilities
from keras_graft.distillation import softened_divergence

BATCH, CLASSES = 5, 4


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def divergence(targets, probabilities):
    """Kullback-Leibler divergence of each example."""
    return (targets * np.log(targets / probabilities)).sum(axis=1)


def some_logits(n, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(0, 3, (BATCH, CLASSES)) for _ in range(n)]


def peers_mean(logits, k, temperature, live=None):
    live = live or [1] * len(logits)
    return np.mean(
        [
            softmax(z / temperature)
            for j, z in enumerate(logits)
            if j != k and live[j]
        ],
        axis=0,
    )


def losses_and_gradients(term, logits, live=None, sample_weight=None):
    """Each network's term, and the gradient of their sum on all logits."""
    n = len(logits)
    variables = [tf.Variable(z, dtype="float32") for z in logits]
    live = tf.constant(live or [1] * n, "float32")
    weights = [sample_weight] * n
    with tf.GradientTape() as tape:
        losses = term.losses(
            DistillationInputs([None] * n, list(variables), live, weights)
        )
        total = tf.add_n(losses)
    gradients = tape.gradient(total, variables, unconnected_gradients="zero")
    return [float(loss) for loss in losses], [g.numpy() for g in gradients]


@pytest.mark.parametrize("temperature", [1.0, 2.0, 4.0])
@pytest.mark.parametrize("n", [2, 3])
@pytest.mark.parametrize("weight", [1.0, 0.3])
def test_value_and_gradient_equal_numpy(temperature, n, weight):
    logits = some_logits(n)
    term = MutualDistillation(temperature=temperature, weight=weight)
    losses, gradients = losses_and_gradients(term, logits)
    for k, z in enumerate(logits):
        own = softmax(z / temperature)
        target = peers_mean(logits, k, temperature)
        value = weight * temperature**2 * divergence(target, own).mean()
        assert losses[k] == pytest.approx(value, rel=1e-5)
        # No gradient reaches a network through its peers' terms.
        np.testing.assert_allclose(
            gradients[k],
            weight * temperature * (own - target) / BATCH,
            rtol=1e-4,
            atol=1e-7,
        )


def test_equal_networks_have_nothing_to_learn_from_each_other():
    z = some_logits(1)[0]
    losses, gradients = losses_and_gradients(MutualDistillation(), [z, z, z])
    np.testing.assert_allclose(losses, 0, atol=1e-6)
    np.testing.assert_allclose(gradients, 0, atol=1e-7)


def test_a_network_that_is_not_live_teaches_nobody():
    logits = some_logits(3)
    live = [1, 0, 1]
    losses, gradients = losses_and_gradients(
        MutualDistillation(), logits, live=live
    )
    for k in (0, 2):
        own = softmax(logits[k] / 2)
        target = softmax(logits[2 - k] / 2)
        assert losses[k] == pytest.approx(
            4 * divergence(target, own).mean(), rel=1e-5
        )
        np.testing.assert_allclose(
            gradients[k], 2 * (own - target) / BATCH, rtol=1e-4, atol=1e-7
        )


def test_without_a_live_peer_the_term_is_zero():
    losses, gradients = losses_and_gradients(
        MutualDistillation(), some_logits(3), live=[1, 0, 0]
    )
    assert losses[0] == 0
    np.testing.assert_array_equal(gradients[0], 0)
    losses, gradients = losses_and_gradients(
        MutualDistillation(), some_logits(2), live=[0, 0]
    )
    assert losses == [0, 0]
    assert np.isfinite(gradients).all()


def test_who_has_a_live_peer_is_told():
    logits = [tf.constant(z, "float32") for z in some_logits(3)]
    _, present = peer_probabilities(logits, tf.constant([1.0, 0, 0]), 2.0)
    assert [float(p) for p in present] == [0, 1, 1]


def test_sample_weights_multiply_examples_but_not_the_divisor():
    logits = some_logits(2)
    weights = np.array([0.0, 1.0, 2.0, 0.5, 1.0])
    losses, gradients = losses_and_gradients(
        MutualDistillation(), logits, sample_weight=tf.constant(weights)
    )
    own, target = softmax(logits[0] / 2), softmax(logits[1] / 2)
    assert losses[0] == pytest.approx(
        4 * (weights * divergence(target, own)).sum() / BATCH, rel=1e-5
    )
    expected = 2 * weights[:, None] * (own - target) / BATCH
    np.testing.assert_allclose(gradients[0], expected, rtol=1e-4, atol=1e-7)
    columns = tf.constant(weights[:, None], "float32")
    again, _ = losses_and_gradients(
        MutualDistillation(), logits, sample_weight=columns
    )
    assert again == pytest.approx(losses)


def test_certain_predictions_give_finite_values_and_gradients():
    certain = np.array([[200.0, 0, 0, 0]] * BATCH)
    wrong = np.array([[0.0, 200.0, 0, 0]] * BATCH)
    term = MutualDistillation(temperature=1.0)
    losses, gradients = losses_and_gradients(term, [certain, wrong])
    assert losses == pytest.approx([200, 200])
    assert np.isfinite(gradients).all()


def test_targets_are_probabilities_without_a_gradient():
    logits = some_logits(3)
    targets, present = peer_probabilities(
        [tf.constant(z, "float32") for z in logits], tf.ones([3]), 2.0
    )
    for k, target in enumerate(targets):
        expected = peers_mean(logits, k, 2.0)
        np.testing.assert_allclose(target, expected, rtol=1e-5)
    assert [float(p) for p in present] == [1, 1, 1]
    with tf.GradientTape() as tape:
        soft = tf.Variable(targets[0])
        z = tf.Variable(logits[0], dtype="float32")
        loss = softened_divergence(soft, z, 2.0)
    assert tape.gradient(loss, soft) is None


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"temperature": 0.0}, "`temperature` must be a finite number above 0"),
        ({"temperature": -2.0}, "`temperature` must be .*-2.0"),
        ({"temperature": float("nan")}, "`temperature` must be"),
        ({"temperature": float("inf")}, "`temperature` must be"),
        ({"weight": -0.1}, "`weight` must be a finite number, at least 0"),
        ({"weight": float("nan")}, "`weight` must be"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        MutualDistillation(**arguments)


def test_serialisation_round_trip():
    term = MutualDistillation(temperature=3, weight=0.5)
    assert term.get_config() == {
        "temperature": 3.0,
        "weight": 0.5,
        "head_weights": None,
        "regression": False,
    }
    loaded = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(term)
    )
    assert type(loaded) is MutualDistillation
    assert loaded.get_config() == term.get_config()
    assert loaded.ready
    assert keras_graft.MutualDistillation is MutualDistillation
