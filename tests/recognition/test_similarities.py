"""Distillation of similarity matrices, against a small NumPy program."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_graft.distillation import DistillationInputs
from keras_graft.recognition import SimilarityDistillation
from keras_graft.structure.heads import CLASS_LOGITS
from keras_graft.structure.heads import EMBEDDING
from keras_graft.structure.heads import Head

HEADS = (Head("embedding", EMBEDDING), Head("logits", CLASS_LOGITS))
EMBEDDINGS = np.random.default_rng(0).normal(size=(3, 6, 4)).astype("float32")


def given(embeddings, live=(1.0, 1.0, 1.0)):
    return DistillationInputs(
        inputs=[],
        logits=[[e, tf.zeros([len(e), 2])] for e in embeddings],
        live=tf.constant(live[: len(embeddings)]),
        sample_weights=[None] * len(embeddings),
        heads=HEADS,
    )


def cosines(e):
    return np.array([[a @ b / np.sqrt(a @ a * (b @ b)) for b in e] for a in e])


def expected(k, peers):
    own = cosines(EMBEDDINGS[k])
    target = np.mean([cosines(EMBEDDINGS[j]) for j in peers], axis=0)
    different = ~np.eye(6, dtype=bool)
    return np.square(own - target)[different].mean()


def test_golden_numbers():
    found = SimilarityDistillation(weight=2.0).losses(given(list(EMBEDDINGS)))
    for k, peers in enumerate([(1, 2), (0, 2), (0, 1)]):
        assert float(found[k]) == pytest.approx(
            2 * expected(k, peers), rel=1e-5
        )


def test_a_network_that_is_not_live_teaches_nobody():
    found = SimilarityDistillation().losses(
        given(list(EMBEDDINGS), live=(1.0, 0.0, 1.0))
    )
    assert float(found[0]) == pytest.approx(expected(0, [2]), rel=1e-5)
    alone = SimilarityDistillation().losses(
        given(list(EMBEDDINGS[:2]), live=(1.0, 0.0))
    )
    assert float(alone[0]) == 0


def test_the_gradient_reaches_the_learner_alone():
    variables = [tf.Variable(e) for e in EMBEDDINGS[:2]]
    with tf.GradientTape() as tape:
        tensors = [tf.convert_to_tensor(v) for v in variables]
        loss = SimilarityDistillation().losses(given(tensors))[0]
    of_learner, of_peer = tape.gradient(loss, variables)
    assert np.abs(of_learner).max() > 0
    assert of_peer is None or np.abs(of_peer).max() == 0


def test_turned_spaces_are_the_same():
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(4, 4)))[0]
    found = SimilarityDistillation().losses(
        given([EMBEDDINGS[0], 3 * EMBEDDINGS[0] @ turn.astype("float32")])
    )
    assert float(found[0]) == pytest.approx(0, abs=1e-10)


def test_outputs_that_are_no_embedding_are_refused():
    with pytest.raises(ValueError, match="do not have: .*'embedding'"):
        SimilarityDistillation(output="code").check_heads(HEADS)
    with pytest.raises(ValueError, match="it is class_logits"):
        SimilarityDistillation(output="logits").check_heads(HEADS)


def test_it_is_saved():
    term = SimilarityDistillation(weight=0.5, output="features")
    again = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(term)
    )
    assert again.get_config() == term.get_config()
