"""Which images of a gallery are nearest to a query, and how far pairs are."""

import dataclasses

import numpy as np

from keras_graft.checks.numbers import is_whole
from keras_graft.recognition.distances import Distances
from keras_graft.recognition.labels import JUNK
from keras_graft.recognition.labels import checked_labels
from keras_graft.recognition.labels import refuse_unmatched
from keras_graft.recognition.retrieval import checked_embeddings


@dataclasses.dataclass(frozen=True, eq=False)
class RankedLists:
    """The nearest images of each query, and the distances of all pairs.

    What a metric leaves out is not in it: junk, and images of the query's
    identity by its camera.

    Attributes:
        nearest: Rows of the gallery, the nearest first, int, shape [queries,
            count]; -1 where there are no more.
        right: Whether they are of the query's identity, bool, likewise.
        edges: Ends of the bins of distances, shape [bins + 1].
        within: Pairs of one identity in each bin, int, shape [bins].
        between: Pairs of two identities, likewise.
    """

    nearest: np.ndarray
    right: np.ndarray
    edges: np.ndarray
    within: np.ndarray
    between: np.ndarray


def ranked_lists(
    query_embeddings: np.ndarray,
    query_ids: np.ndarray,
    query_cameras: np.ndarray | None,
    gallery_embeddings: np.ndarray,
    gallery_ids: np.ndarray,
    gallery_cameras: np.ndarray | None,
    count: int = 10,
    bins: int = 60,
) -> RankedLists:
    """Finds the nearest images, by cosine distance (1 - cosine, 0 to 2).

    Args:
        query_embeddings: As for `retrieval_metrics`, like `query_ids`,
            `query_cameras`, `gallery_embeddings`, `gallery_ids` and
            `gallery_cameras`.
        count: Images for each query, 1 or more.
        bins: Bins of distances, 1 or more.

    Returns:
        A `RankedLists`.

    Raises:
        ValueError: As `retrieval_metrics`, and if `count` or `bins` is less
            than 1.
    """
    for name, number in (("count", count), ("bins", bins)):
        if not is_whole(number, 1):
            raise ValueError(
                f"`{name}` must be a whole number from 1 on. Received: "
                f"{number!r}"
            )
    of_queries, of_gallery = checked_embeddings(
        query_embeddings, gallery_embeddings
    )
    queries, gallery = checked_labels(
        *(query_ids, query_cameras, len(of_queries)),
        *(gallery_ids, gallery_cameras, len(of_gallery)),
    )
    refuse_unmatched(queries, gallery)
    count = min(count, len(gallery))
    edges = np.linspace(0, 2, bins + 1)
    within, between = np.zeros((2, bins), int)
    nearest, right = [], []
    distances = Distances(of_queries, of_gallery, "cosine")
    for start, block in distances.blocks():
        block /= 2  # Squared between embeddings of length 1: 2 - 2 cosine.
        rows = slice(start, start + len(block))
        same = queries.ids[rows, np.newaxis] == gallery.ids
        out = np.broadcast_to(gallery.ids == JUNK, same.shape)
        if queries.cameras is not None:
            cameras = queries.cameras[rows, np.newaxis]
            out = out | (same & (cameras == gallery.cameras))
        within += np.histogram(block[same & ~out], edges)[0]
        between += np.histogram(block[~same & ~out], edges)[0]
        block[out] = np.inf
        near = np.argpartition(block, count - 1, axis=1)[:, :count]
        found = np.take_along_axis(block, near, axis=1)
        order = np.argsort(found, axis=1, kind="stable")
        near = np.take_along_axis(near, order, axis=1)
        there = np.isfinite(np.take_along_axis(block, near, axis=1))
        nearest.append(np.where(there, near, -1))
        right.append(np.take_along_axis(same, near, axis=1) & there)
    return RankedLists(
        np.concatenate(nearest), np.concatenate(right), edges, within, between
    )
