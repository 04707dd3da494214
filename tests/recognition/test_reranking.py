"""k-reciprocal re-ranking against a small program with dense matrices."""

import numpy as np
import pytest

from keras_graft.recognition import Reranking
from keras_graft.recognition import retrieval_metrics
from keras_graft.recognition.distances import Distances
from keras_graft.recognition.reranking import reranked_blocks


def reranked(distance, num_queries, k1, k2, weight):
    """Zhong et al., arXiv 1701.08398, as it stands: sections 3.2 to 3.5."""
    count = len(distance)
    scaled = distance / distance.max(axis=1, keepdims=True)
    rank = np.argsort(scaled, axis=1)

    def reciprocal(i, k):
        return {j for j in rank[i, : k + 1] if i in rank[j, : k + 1]}

    sets = np.zeros((count, count))
    for i in range(count):
        own = reciprocal(i, k1)
        expanded = set(own)
        for j in own:
            other = reciprocal(j, round(k1 / 2))
            if len(own & other) > 2 / 3 * len(other):
                expanded |= other
        for j in expanded:
            sets[i, j] = np.exp(-scaled[i, j])
        sets[i] /= sets[i].sum()
    sets = np.array([sets[rank[i, :k2]].mean(axis=0) for i in range(count)])
    result = np.zeros((num_queries, count))
    for i in range(num_queries):
        for j in range(count):
            smaller = np.minimum(sets[i], sets[j]).sum()
            larger = np.maximum(sets[i], sets[j]).sum()
            result[i, j] = 1 - smaller / larger
    mixed = (1 - weight) * result + weight * scaled[:num_queries]
    return mixed[:, num_queries:]


@pytest.fixture(scope="module")
def scene():
    rng = np.random.default_rng(0)
    ids = np.arange(90) % 10
    centres = rng.normal(size=(10, 8))
    return centres[ids] + 0.7 * rng.normal(size=(90, 8)), ids


@pytest.mark.parametrize(
    ("k1", "k2", "weight", "count"),
    [(8, 3, 0.3, 90), (5, 1, 0.0, 90), (200, 6, 0.3, 30)],
)
def test_distances_are_those_of_the_dense_program(scene, k1, k2, weight, count):
    embeddings = scene[0][:count]
    distance = np.square(embeddings[:, None] - embeddings[None]).sum(-1)
    found = np.concatenate(
        [
            block.copy()
            for _, block in reranked_blocks(
                Distances(embeddings, embeddings, "euclidean"),
                15,
                Reranking(k1, k2, weight),
            )
        ]
    )
    expected = reranked(distance, 15, k1, k2, weight)
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_it_helps_where_identities_are_clusters(scene):
    embeddings, ids = scene
    sides = (
        *(embeddings[:30], ids[:30], None),
        *(embeddings[30:], ids[30:], None),
    )
    plain = retrieval_metrics(*sides)
    again = retrieval_metrics(*sides, reranking=Reranking(k1=8, k2=3))
    assert again["mAP"] > plain["mAP"] + 0.02


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"k1": 3}, "k2 <= k1. Received: k1=3, k2=6"),
        ({"k2": 0}, "1 <= k2"),
        ({"distance_weight": float("nan")}, r"in \[0, 1\]"),
    ],
)
def test_settings_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Reranking(**arguments)
