"""What outputs mean, against a few lines of NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_graft.structure.heads import KINDS
from keras_graft.structure.heads import Head
from keras_graft.structure.heads import check_kind
from keras_graft.structure.heads import map_heads
from keras_graft.structure.heads import mean_outputs


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


PROBABILITIES = {
    "class_logits": softmax,
    "binary_logits": sigmoid,
    "label_logits": sigmoid,
}


def some_outputs(kind, shape=(5, 3)):
    z = np.random.default_rng(len(kind)).normal(0, 2, (3, *shape))
    if kind == "class_probabilities":
        z = softmax(z)
    elif kind.endswith("_probabilities"):
        z = sigmoid(z)
    return z.astype("float32")


@pytest.mark.parametrize("shape", [(5, 3), (2, 4, 4, 3), (2, 7, 3)])
@pytest.mark.parametrize("kind", KINDS)
def test_the_ensemble_is_the_mean_of_what_is_meant(kind, shape):
    outputs = some_outputs(kind, shape)
    meant = PROBABILITIES.get(kind, np.asarray)(outputs)
    for live in ([1, 1, 1], [1, 0, 1], [0, 0, 0]):
        found = mean_outputs(
            list(outputs), tf.constant(live, "float32"), [Head("y", kind)]
        )
        chosen = meant[np.array(live, bool)] if any(live) else meant
        np.testing.assert_allclose(found, chosen.mean(0), rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_metrics_get_what_a_network_gives(kind):
    head, outputs = Head("y", kind), some_outputs(kind)
    alone = mean_outputs([outputs[0]], tf.ones([1]), [head])
    again = head.probabilities(head.like_outputs(alone))
    np.testing.assert_allclose(again, alone, rtol=2e-5, atol=1e-7)
    logits = head.logits(outputs[0])
    np.testing.assert_allclose(head.activate(logits), alone, rtol=2e-5)
    certain = tf.constant([[1.0, 0.0]])
    assert np.isfinite(head.like_outputs(certain)).all()
    assert np.isfinite(head.logits(certain)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_half_precision_becomes_float32(kind):
    half = tf.constant([[0.25, 0.75]], "float16")
    head = Head("y", kind)
    assert head.logits(half).dtype == "float32"
    assert head.probabilities(half).dtype == "float32"


def test_structures_are_taken_apart_and_put_together():
    heads = [Head("box", "regression"), Head("kind", "class_logits")]
    outputs = [
        {
            "kind": np.eye(2, dtype="float32") * k,
            "box": np.full((2, 4), float(k)),
        }
        for k in range(2)
    ]
    found = mean_outputs(outputs, tf.ones([2]), heads)
    np.testing.assert_allclose(found["box"], 0.5)
    expected = (softmax(np.zeros((2, 2))) + softmax(np.eye(2))) / 2
    np.testing.assert_allclose(found["kind"], expected, rtol=1e-6)
    back = map_heads(Head.like_outputs, found, heads)
    np.testing.assert_allclose(
        softmax(np.asarray(back["kind"])), expected, rtol=1e-5
    )
    np.testing.assert_array_equal(back["box"], found["box"])


def test_a_kind_that_is_none_is_refused_with_those_that_are():
    with pytest.raises(ValueError, match="(?s)'mask'.*class_logits") as error:
        check_kind("logits", "mask")
    assert all(kind in str(error.value) for kind in KINDS)
    assert keras.config.epsilon() > 0
