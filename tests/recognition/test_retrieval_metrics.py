"""mAP, mINP and CMC, against scikit-learn and against every order of ties."""

import itertools

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from keras_graft.recognition import retrieval_metrics
from keras_graft.recognition import retrieval_scores

# A query at 0 and a gallery on a line: distance is the number itself.
QUERY = np.zeros((1, 1))


def on_a_line(distances, ids, cameras=None, query=(1, 1), **arguments):
    """One query, of an identity and a camera, in a gallery on a line."""
    return retrieval_metrics(
        QUERY,
        np.array(query[:1]),
        None if cameras is None else np.array(query[1:]),
        np.array(distances, float)[:, np.newaxis],
        np.array(ids),
        None if cameras is None else np.array(cameras),
        metric="euclidean",
        **arguments,
    )


def of_order(right, ranks):
    """The metrics of one order: `right[i]` of the image at position i + 1."""
    places = np.flatnonzero(right) + 1
    return [
        np.mean(np.arange(1, len(places) + 1) / places),
        len(places) / places[-1],
        *[float(places[0] <= rank) for rank in ranks],
    ]


def random_embeddings(rng, count, identities):
    ids = np.arange(count) % identities + 1
    centres = rng.normal(size=(identities + 1, 16))
    noise = 1.5 * rng.normal(size=(count, 16))
    return (centres[ids] + noise).astype("float32"), ids


def test_a_case_worked_by_hand():
    # In order: own camera (out), wrong, right, junk (out), distractor, right.
    found = on_a_line(
        [1, 2, 3, 4, 5, 6],
        ids=[1, 2, 1, -1, 0, 1],
        cameras=[1, 1, 2, 2, 2, 3],
        ranks=(1, 2, 4, 100),
    )
    assert list(found) == [
        *("mAP", "mINP", "rank_1", "rank_2", "rank_4", "rank_100")
    ]
    # Right ones at positions 2 and 4.
    expected = [(1 / 2 + 2 / 4) / 2, 2 / 4, 0, 1, 1, 1]
    assert list(found.values()) == pytest.approx(expected)


def test_average_precision_is_scikit_learns_query_by_query():
    rng = np.random.default_rng(0)
    embeddings, ids = random_embeddings(rng, 300, 20)
    cameras = rng.integers(0, 4, 300)
    is_query = np.arange(300) < 40
    queries, gallery = embeddings[is_query], embeddings[~is_query]
    found = retrieval_scores(
        *(queries, ids[is_query], cameras[is_query]),
        *(gallery, ids[~is_query], cameras[~is_query]),
    )
    similarity = (queries / np.linalg.norm(queries, axis=1)[:, None]) @ (
        gallery / np.linalg.norm(gallery, axis=1)[:, None]
    ).T
    for i in range(40):
        right = ids[~is_query] == ids[i]
        kept = ~(right & (cameras[~is_query] == cameras[i]))
        assert found.average_precision[i] == pytest.approx(
            average_precision_score(right[kept], similarity[i][kept])
        )
        assert found.num_matches[i] == right[kept].sum()
    assert 0.1 < found.means()["mAP"] < 0.9


@pytest.mark.parametrize("tied", [[1, 1, 1, 2, 2, 3], [1, 2, 2, 2, 2, 3]])
def test_ties_give_the_mean_over_all_their_orders(tied):
    ranks = (1, 2, 3, 5)
    for right in itertools.product([0, 1], repeat=len(tied)):
        if not any(right):
            continue
        orders = [
            of_order(np.array(right)[list(order)], ranks)
            for order in itertools.permutations(range(len(tied)))
            if (np.diff(np.array(tied)[list(order)]) >= 0).all()
        ]
        ids = [1 if is_right else 2 for is_right in right]
        found = on_a_line(tied, ids, ranks=ranks)
        assert list(found.values()) == pytest.approx(np.mean(orders, axis=0))


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_equal_embeddings_tie_wherever_they_stand(metric):
    """A network that has collapsed scores what chance does, in any order."""
    rng = np.random.default_rng(1)
    # Sizes at which OpenBLAS gives equal columns different products.
    gallery = np.tile(rng.normal(size=513), (1021, 1)).astype("float32")
    queries = rng.normal(size=(7, 513)).astype("float32")
    ids = np.arange(1021) % 10
    found = [
        retrieval_metrics(
            queries, np.full(7, 9), None, gallery, order, None, metric
        )
        for order in (ids, ids[::-1], rng.permutation(ids))
    ]
    assert found[0] == found[1] == found[2]
    assert found[0]["rank_1"] == pytest.approx(102 / 1021)
    misses = [(919 - i) / (1021 - i) for i in range(5)]
    assert found[0]["rank_5"] == pytest.approx(1 - np.prod(misses))


def test_images_ranked_among_themselves_leave_only_themselves_out():
    rng = np.random.default_rng(2)
    embeddings, ids = random_embeddings(rng, 60, 6)
    each = np.arange(60)
    found = retrieval_scores(embeddings, ids, each, embeddings, ids, each)
    alone = retrieval_scores(
        *(embeddings[:1], ids[:1], None),
        *(embeddings[1:], ids[1:], None),
    )
    assert found.average_precision[0] == alone.average_precision[0]
    assert set(found.num_matches) == {9}


def test_blocks_of_queries_give_what_each_query_alone_does():
    """17 million distances, more than a block holds."""
    rng = np.random.default_rng(3)
    gallery, gallery_ids = random_embeddings(rng, 8400, 500)
    queries, ids = random_embeddings(rng, 2100, 500)

    def scored(part):
        return retrieval_scores(
            *(queries[part], ids[part], None), gallery, gallery_ids, None
        )

    whole = scored(slice(None))
    for part in (slice(0, 3), slice(1990, 2010), slice(2098, 2100)):
        np.testing.assert_allclose(
            scored(part).average_precision,
            whole.average_precision[part],
            atol=1e-4,
        )


def test_what_is_the_same_but_for_length_or_place_scores_the_same():
    rng = np.random.default_rng(4)
    embeddings, ids = random_embeddings(rng, 200, 10)

    def scored(changed, metric):
        return retrieval_metrics(
            *(changed[:50], ids[:50], None),
            *(changed[50:], ids[50:], None),
            metric,
        )

    lengths = np.exp(rng.normal(size=(200, 1)) * 20).astype("float32")
    cosine = scored(embeddings, "cosine")
    for changed in (embeddings * lengths, embeddings * 1e-30):
        assert scored(changed, "cosine") == pytest.approx(cosine, abs=1e-3)
    euclidean = scored(embeddings, "euclidean")
    for changed in (embeddings + 3000, embeddings * 1e30, embeddings * 1e-30):
        assert scored(changed, "euclidean") == pytest.approx(
            euclidean, abs=1e-3
        )
    assert euclidean["mAP"] != pytest.approx(cosine["mAP"], abs=1e-3)


def test_a_query_without_a_right_image_does_not_count():
    arguments = {"metric": "euclidean", "ranks": (1,)}
    gallery = (np.array([[1.0], [2.0]]), np.array([1, 2]), np.array([1, 1]))
    found = retrieval_scores(
        np.array([[1.0], [2.0], [1.0]]),
        np.array([1, 2, 3]),
        np.array([2, 1, 2]),  # The second one's image is of its own camera.
        *gallery,
        **arguments,
    )
    assert found.num_matches.tolist() == [1, 0, 0]
    assert np.isnan(found.average_precision[1:]).all()
    assert found.means() == {"mAP": 1.0, "mINP": 1.0, "rank_1": 1.0}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"query_embeddings": np.ones(3)}, r"shape \[images, size\]"),
        ({"query_embeddings": np.ones((2, 4))}, "sizes 4 and 3"),
        ({"gallery_embeddings": [["a"] * 3] * 4}, "must be numbers"),
        ({"gallery_ids": np.ones(4)}, r"whole numbers of the shape \[4\]"),
        ({"query_ids": np.array([1])}, r"`query_ids`.*shape \[2\]"),
        ({"query_ids": np.array([1, -1])}, "the first of them query 1"),
        ({"query_cameras": None}, "given together"),
        ({"query_ids": np.array([8, 9])}, "No query has a right image"),
        ({"gallery_ids": np.full(4, -1)}, "nothing but junk"),
        ({"metric": "dot"}, "one of cosine, euclidean. Received: 'dot'"),
        ({"ranks": (0,)}, "from 1 on"),
        ({"ranks": ()}, "at least one"),
        ({"reranking": 20}, "must be a Reranking, or None. Received: 20"),
    ],
)
def test_wrong_arguments_are_named(change, message):
    usual = {
        "query_embeddings": np.eye(3)[:2],
        "query_ids": np.array([1, 2]),
        "query_cameras": np.array([1, 1]),
        "gallery_embeddings": np.ones((4, 3)),
        "gallery_ids": np.array([1, 1, 2, 0]),
        "gallery_cameras": np.array([2, 2, 2, 2]),
    }
    retrieval_metrics(**usual)
    with pytest.raises(ValueError, match=message):
        retrieval_metrics(**usual | change)


def test_embeddings_that_are_not_finite_are_counted():
    embeddings = np.ones((4, 2))
    embeddings[[1, 3], 0] = np.nan, np.inf
    with pytest.raises(ValueError, match="2 of 4 rows are not.* row 1"):
        retrieval_metrics(
            embeddings, np.ones(4, int), None, np.ones((1, 2)), [1], None
        )
