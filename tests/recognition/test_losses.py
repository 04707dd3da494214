"""Metric losses against small NumPy programs, written from the papers."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_graft.recognition import BatchHardTriplet
from keras_graft.recognition import CircleLoss
from keras_graft.recognition import batch_hard_triplet
from keras_graft.recognition import circle_loss

rng = np.random.default_rng(0)
# Identity 3 has one image, and nobody to be near to.
LABELS = np.array([0, 0, 0, 1, 1, 2, 2, 2, 3])
EMBEDDINGS = rng.normal(size=(9, 5)).astype("float32")


def triplet(i, margin):
    distance = np.sqrt(np.square(EMBEDDINGS - EMBEDDINGS[i]).sum(1))
    same = [j for j in range(9) if j != i and LABELS[j] == LABELS[i]]
    other = [j for j in range(9) if LABELS[j] != LABELS[i]]
    if not same:
        return 0.0
    difference = max(distance[same]) - min(distance[other])
    if margin is None:
        return np.log(1 + np.exp(difference))
    return max(0, difference + margin)


@pytest.mark.parametrize("margin", [0.3, 5.0, None])
def test_batch_hard_triplet(margin):
    found = batch_hard_triplet(LABELS, EMBEDDINGS, margin)
    expected = [triplet(i, margin) for i in range(9)]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    mean = BatchHardTriplet(margin)(LABELS[:, None], EMBEDDINGS)
    assert float(mean) == pytest.approx(np.mean(expected), rel=1e-4)


def circle(i, embeddings, margin, gamma, weights_of=None):
    """Equations 6 and 5 of arXiv 2002.10857, for one anchor."""

    def cosines(e):
        unit = e / np.linalg.norm(e, axis=1, keepdims=True)
        return unit @ unit[i]

    s = cosines(embeddings)
    w = cosines(weights_of if weights_of is not None else embeddings)
    same = [j for j in range(9) if j != i and LABELS[j] == LABELS[i]]
    other = [j for j in range(9) if LABELS[j] != LABELS[i]]
    if not same:
        return 0.0
    alpha_n = np.maximum(w + margin, 0)
    alpha_p = np.maximum(1 + margin - w, 0)
    negatives = np.exp(gamma * alpha_n * (s - margin))[other].sum()
    positives = np.exp(-gamma * alpha_p * (s - (1 - margin)))[same].sum()
    return np.log(1 + negatives * positives)


def test_circle_loss():
    found = circle_loss(LABELS, EMBEDDINGS, margin=0.3, gamma=16.0)
    expected = [circle(i, EMBEDDINGS, 0.3, 16.0) for i in range(9)]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    mean = CircleLoss(0.3, 16.0)(LABELS, EMBEDDINGS)
    assert float(mean) == pytest.approx(np.mean(expected), rel=1e-4)


def test_the_weights_of_the_circle_loss_have_no_gradient():
    variable = tf.Variable(EMBEDDINGS)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(circle_loss(LABELS, variable, 0.3, 16.0))
    found = tape.gradient(total, variable).numpy()
    step = np.zeros((9, 5))
    step[1, 2] = 1e-5

    def moved(sign):
        return sum(
            circle(
                i,
                EMBEDDINGS.astype(float) + sign * step,
                0.3,
                16.0,
                weights_of=EMBEDDINGS.astype(float),
            )
            for i in range(9)
        )

    expected = (moved(1) - moved(-1)) / 2e-5
    assert found[1, 2] == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    "loss", [BatchHardTriplet(), BatchHardTriplet(None), CircleLoss()]
)
def test_images_that_are_all_alike_have_finite_gradients(loss):
    variable = tf.Variable(tf.ones([6, 4]))
    with tf.GradientTape() as tape:
        value = loss(tf.constant([0, 0, 1, 1, 2, 3]), variable)
    gradient = tape.gradient(value, variable)
    assert np.isfinite(float(value)) and value > 0
    assert np.isfinite(gradient.numpy()).all()


@pytest.mark.parametrize(
    "loss", [BatchHardTriplet(None), BatchHardTriplet(0.1), CircleLoss(0.4, 9)]
)
def test_they_are_saved(loss):
    again = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(loss)
    )
    assert again.get_config() == loss.get_config()
    assert float(again(LABELS, EMBEDDINGS)) == float(loss(LABELS, EMBEDDINGS))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BatchHardTriplet(-0.1), "at least 0, or None"),
        (lambda: CircleLoss(1.5), r"in \[0, 1\]"),
        (lambda: CircleLoss(gamma=0), "above 0"),
    ],
)
def test_settings_out_of_range_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
