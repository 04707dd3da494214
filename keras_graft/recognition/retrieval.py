"""How well queries find the images of their identity in a gallery."""

import dataclasses
import typing
from collections.abc import Sequence

import numpy as np

from keras_graft.checks.members import check_member
from keras_graft.checks.numbers import is_whole
from keras_graft.recognition import expected_values
from keras_graft.recognition.distances import METRICS
from keras_graft.recognition.distances import Distances
from keras_graft.recognition.labels import JUNK
from keras_graft.recognition.labels import checked_labels
from keras_graft.recognition.labels import refuse_unmatched
from keras_graft.recognition.reranking import Reranking
from keras_graft.recognition.reranking import reranked_blocks


@dataclasses.dataclass(frozen=True, eq=False)
class RetrievalScores:
    """How well each query did; NaN for one that has no match.

    Attributes:
        num_matches: Images in the gallery that are right, int, shape
            [queries].
        average_precision: float64, shape [queries], in [0, 1].
        inverse_negative_penalty: Number of matches over the position of the
            last one, float64, shape [queries], in (0, 1]; its mean is mINP.
        found_by_rank: Probability that one of the first images is right,
            float64, shape [queries, len(ranks)].
        ranks: How many images those are.
    """

    num_matches: np.ndarray
    average_precision: np.ndarray
    inverse_negative_penalty: np.ndarray
    found_by_rank: np.ndarray
    ranks: tuple[int, ...]

    def means(self) -> dict[str, float]:
        """`"mAP"`, `"mINP"`, `"rank_1"`, ... over queries with a match."""
        counted = self.num_matches > 0
        by_rank = self.found_by_rank[counted].mean(axis=0)
        values = (
            self.average_precision[counted].mean(),
            self.inverse_negative_penalty[counted].mean(),
            *by_rank,
        )
        names = metric_names(self.ranks)
        return dict(zip(names, map(float, values), strict=True))


def retrieval_metrics(
    query_embeddings: np.ndarray,
    query_ids: np.ndarray,
    query_cameras: np.ndarray | None,
    gallery_embeddings: np.ndarray,
    gallery_ids: np.ndarray,
    gallery_cameras: np.ndarray | None,
    metric: str = "cosine",
    ranks: Sequence[int] = (1, 5, 10),
    reranking: Reranking | None = None,
) -> dict[str, float]:
    """mAP, mINP and CMC of queries in a gallery, as Market-1501 has them.

    The gallery's images are ranked by their distance to the query. Images of
    the query's identity are right, all others wrong, except for those that
    are taken out first: of the query's identity and camera, and junk. A query
    without a right image does not count. Where distances are equal, a metric
    is its expected value over all orders of what ties.

    It takes one pass over blocks of distances: beside the embeddings and a
    copy of them, 64 MiB (re-ranking needs more).

    Args:
        query_embeddings: Numbers, shape [queries, size].
        query_ids: Identities, int, shape [queries].
        query_cameras: Cameras, int, shape [queries], or None with
            `gallery_cameras=None`: no image is taken out for its camera. To
            rank images among themselves, give each a camera of its own, the
            same on both sides: only the image itself is taken out.
        gallery_embeddings: Numbers, shape [images, size].
        gallery_ids: Identities, int, shape [images]. -1 is junk, neither
            right nor wrong. Identities that no query has are distractors, as
            Market's 0: wrong.
        gallery_cameras: Cameras, int, shape [images], or None.
        metric: `"cosine"` (computed on embeddings of length 1) or
            `"euclidean"`.
        ranks: The k of each `rank_k`, 1 or more.
        reranking: A `Reranking`, for k-reciprocal re-ranking. Defaults to
            None: by distance.

    Returns:
        `{"mAP": ..., "mINP": ..., "rank_1": ..., ...}`, in [0, 1]. `mAP` is
        the mean over queries of the average precision as scikit-learn has it
        (Market's own program takes the trapezoidal rule, which differs by
        some thousandths), `rank_k` the share of queries with a right image
        among the first k.

    Raises:
        ValueError: If shapes, identities, cameras or ranks do not fit,
            embeddings are not finite, or no query has a right image.

    Example:

    ```python
    network = keras.models.load_model("shipped.keras")
    embeddings = network.predict(images)["embedding"]
    found = retrieval_metrics(
        embeddings[is_query], ids[is_query], cameras[is_query],
        embeddings[~is_query], ids[~is_query], cameras[~is_query],
    )
    print(found["mAP"], found["rank_1"])
    ```
    """
    return retrieval_scores(
        query_embeddings,
        query_ids,
        query_cameras,
        gallery_embeddings,
        gallery_ids,
        gallery_cameras,
        metric,
        ranks,
        reranking,
    ).means()


def retrieval_scores(
    query_embeddings: np.ndarray,
    query_ids: np.ndarray,
    query_cameras: np.ndarray | None,
    gallery_embeddings: np.ndarray,
    gallery_ids: np.ndarray,
    gallery_cameras: np.ndarray | None,
    metric: str = "cosine",
    ranks: Sequence[int] = (1, 5, 10),
    reranking: Reranking | None = None,
) -> RetrievalScores:
    """What `retrieval_metrics` takes the means of, query by query.

    Args:
        query_embeddings: As for `retrieval_metrics`, like `query_ids`,
            `query_cameras`, `gallery_embeddings`, `gallery_ids`,
            `gallery_cameras`, `metric`, `ranks` and `reranking`.

    Returns:
        A `RetrievalScores`.

    Raises:
        ValueError: As `retrieval_metrics`.
    """
    ranks = checked_settings(metric, ranks, reranking)
    of_queries, of_gallery = checked_embeddings(
        query_embeddings, gallery_embeddings
    )
    queries, gallery = checked_labels(
        *(query_ids, query_cameras, len(of_queries)),
        *(gallery_ids, gallery_cameras, len(of_gallery)),
    )
    refuse_unmatched(queries, gallery)
    junk = gallery.ids == JUNK
    if junk.any():
        gallery, of_gallery = gallery.without(junk), of_gallery[~junk]
    groups = _groups(
        _blocks(of_queries, of_gallery, metric, reranking), queries, gallery
    )
    return _scores(groups, len(queries), ranks)


def _blocks(queries, gallery, metric, reranking):
    if reranking is None:
        return Distances(queries, gallery, metric).blocks(ranked=True)
    both = np.concatenate([queries, gallery])
    distances = Distances(both, both, metric)
    return reranked_blocks(distances, len(queries), reranking)


class _Groups(typing.NamedTuple):
    """The groups that hold a match; see `expected_values`."""

    query: np.ndarray
    before: np.ndarray
    size: np.ndarray
    matches: np.ndarray


def _groups(blocks, queries, gallery):
    """Finds the groups of every query in blocks of distances."""
    by_id = np.argsort(gallery.ids, kind="stable")
    low, high = (
        np.searchsorted(gallery.ids[by_id], queries.ids, side)
        for side in ("left", "right")
    )
    found = []
    for start, block in blocks:
        near = []
        for i, row in enumerate(block, start):
            matches = by_id[low[i] : high[i]]
            if queries.cameras is not None:
                same = gallery.cameras[matches] == queries.cameras[i]
                removed, matches = matches[same], matches[~same]
                near.append(row[matches])
                row[removed] = np.inf
            else:
                near.append(row[matches])
        # All rows at once; what was taken out comes last.
        block.sort(axis=1)
        for i, (row, distances) in enumerate(zip(block, near), start):
            if len(distances):
                before = np.searchsorted(row, distances, "left")
                before, counts = np.unique(before, return_counts=True)
                size = np.searchsorted(row, row[before], "right") - before
                found.append((np.full(len(before), i), before, size, counts))
    return _Groups(*map(np.concatenate, zip(*found, strict=True)))


def _scores(groups, num_queries, ranks):
    query, before, size, matches = groups
    first = np.flatnonzero(np.diff(query, prepend=-1))
    last = np.flatnonzero(np.diff(query, append=num_queries))
    counted = query[first]
    totals = np.bincount(query, matches, num_queries).astype(int)
    hardest = np.full(num_queries, np.nan)
    hardest[counted] = [
        totals[query[i]]
        * expected_values.inverse_last_position(
            int(before[i]), int(size[i]), int(matches[i])
        )
        for i in last
    ]
    by_rank = np.full((num_queries, len(ranks)), np.nan)
    by_rank[counted] = expected_values.found_by_rank(
        before[first], size[first], matches[first], ranks
    )
    return RetrievalScores(
        totals,
        expected_values.average_precision(*groups, num_queries),
        hardest,
        by_rank,
        ranks,
    )


def checked_embeddings(
    queries: np.ndarray, gallery: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings of both sides as floats, if they are some.

    Args:
        queries: Numbers, shape [queries, size].
        gallery: Numbers, shape [images, size].

    Raises:
        ValueError: If they are of other shapes, no numbers or not finite.
    """
    queries, gallery = _floats("query", queries), _floats("gallery", gallery)
    sizes = queries.shape[1], gallery.shape[1]
    if sizes[0] != sizes[1]:
        raise ValueError(
            "Embeddings of queries and gallery must have the same size. "
            f"Received: sizes {sizes[0]} and {sizes[1]}"
        )
    return queries, gallery


def _floats(side, embeddings):
    embeddings = np.asarray(embeddings)
    if embeddings.ndim != 2 or 0 in embeddings.shape:
        raise ValueError(
            f"`{side}_embeddings` must have the shape [images, size], neither "
            f"of them 0. Received: shape {embeddings.shape}"
        )
    if not np.issubdtype(embeddings.dtype, np.floating):
        try:
            embeddings = embeddings.astype(np.float32)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"`{side}_embeddings` must be numbers. Received: dtype "
                f"{embeddings.dtype}"
            ) from error
    broken = ~np.isfinite(embeddings).all(axis=1)
    if broken.any():
        raise ValueError(
            f"`{side}_embeddings` must be finite. {broken.sum()} of "
            f"{len(broken)} rows are not, the first of them row "
            f"{broken.argmax()}."
        )
    return embeddings


def checked_settings(
    metric: str, ranks: Sequence[int], reranking: Reranking | None
) -> tuple[int, ...]:
    """The ranks, if these are settings of `retrieval_metrics`.

    Args:
        metric: As for `retrieval_metrics`, like the others.
        ranks: Likewise.
        reranking: Likewise.

    Raises:
        ValueError: If one is out of its range.
    """
    check_member("metric", metric, METRICS)
    if not (reranking is None or isinstance(reranking, Reranking)):
        raise ValueError(
            f"`reranking` must be a Reranking, or None. Received: {reranking!r}"
        )
    ranks = tuple(ranks)
    if not ranks or not all(is_whole(rank, 1) for rank in ranks):
        raise ValueError(
            "`ranks` must be whole numbers from 1 on, at least one. Received: "
            f"{ranks}"
        )
    return tuple(map(int, ranks))


def metric_names(ranks: Sequence[int]) -> list[str]:
    """The keys of `retrieval_metrics`: `"mAP"`, `"mINP"`, `"rank_1"`, ..."""
    return ["mAP", "mINP", *(f"rank_{rank}" for rank in ranks)]
