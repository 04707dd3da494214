"""k-reciprocal re-ranking (arXiv 1701.08398): near is who is near both ways."""

import dataclasses
from collections.abc import Iterator

import numpy as np
import scipy.sparse

from keras_graft.checks.numbers import is_number
from keras_graft.checks.numbers import is_whole
from keras_graft.recognition.distances import Distances


@dataclasses.dataclass(frozen=True)
class Reranking:
    """How to re-rank; the defaults are those of the paper.

    It looks at the gallery and at the other queries, which a search engine
    with one query has not got: say so beside a number.

    Attributes:
        k1: Nearest images among which reciprocal ones are looked for, 1 or
            more.
        k2: Nearest images whose sets an image's is averaged with, itself
            included, 1 to `k1`.
        distance_weight: Share of the plain distance in the result, the
            paper's lambda, in [0, 1].

    Raises:
        ValueError: If one is out of range.
    """

    k1: int = 20
    k2: int = 6
    distance_weight: float = 0.3

    def __post_init__(self):
        if not (is_whole(self.k2, 1) and is_whole(self.k1, self.k2)):
            raise ValueError(
                "`k1` and `k2` must be whole numbers, 1 <= k2 <= k1. Received: "
                f"k1={self.k1!r}, k2={self.k2!r}"
            )
        weight = self.distance_weight
        if not (is_number(weight) and 0 <= weight <= 1):
            raise ValueError(
                f"`distance_weight` must be in [0, 1]. Received: {weight!r}"
            )


def reranked_blocks(
    distances: Distances, num_queries: int, reranking: Reranking
) -> Iterator[tuple[int, np.ndarray]]:
    """Distances of queries to a gallery after re-ranking, in blocks.

    Args:
        distances: Of all images, queries first, to all images.
        num_queries: How many of them are queries.
        reranking: How.

    Yields:
        As `Distances.blocks`: first query and distances, shape [queries of
        the block, images of the gallery], in [0, 1].
    """
    nearest, farthest = _nearest(distances, reranking.k1)
    sets = _soft_sets(distances, nearest, farthest, reranking)
    by_member = sets.tocsc()
    weight = reranking.distance_weight
    for start, block in distances.blocks(count=num_queries):
        block /= farthest[start : start + len(block), np.newaxis]
        for i, row in enumerate(block, start):
            row *= weight
            row += (1 - weight) * _jaccard(sets, by_member, i)
        yield start, block[:, num_queries:]


def _nearest(distances, k1):
    """The k1 + 1 nearest images of each, itself first, and the farthest."""
    found, farthest = [], []
    for start, block in distances.blocks():
        farthest.append(block.max(axis=1))
        rows = np.arange(len(block))
        # Before its copies.
        block[rows, start + rows] = -1
        count = min(k1 + 1, block.shape[1])
        near = np.argpartition(block, count - 1, axis=1)[:, :count]
        order = np.argsort(block[rows[:, np.newaxis], near], axis=1)
        found.append(np.take_along_axis(near, order, axis=1))
    farthest = np.concatenate(farthest)
    return np.concatenate(found), np.where(farthest > 0, farthest, 1)


def _soft_sets(distances, nearest, farthest, reranking):
    """Each image's set of reciprocal neighbours, a row of weights."""
    reciprocal = _reciprocal(nearest)
    half = _reciprocal(nearest[:, : round(reranking.k1 / 2) + 1])
    columns, values = [], []
    for i, members in enumerate(reciprocal):
        own = set(members)
        expanded = set(own)
        for j in members:
            # Neighbours of a neighbour, where most of them are shared.
            if 3 * len(own.intersection(half[j])) > 2 * len(half[j]):
                expanded.update(half[j])
        column = np.array(sorted(expanded))
        near = np.exp(-distances.of_pairs(i, column) / farthest[i])
        columns.append(column)
        values.append(near / near.sum())
    count = len(nearest)
    ends = np.cumsum([0, *map(len, columns)])
    sets = scipy.sparse.csr_array(
        (np.concatenate(values), np.concatenate(columns), ends),
        shape=(count, count),
    )
    averaged = nearest[:, : reranking.k2]
    k2 = averaged.shape[1]
    mean = scipy.sparse.csr_array(
        (
            np.full(averaged.size, 1 / k2),
            averaged.ravel(),
            np.arange(0, averaged.size + 1, k2),
        ),
        shape=(count, count),
    )
    return (mean @ sets).tocsr()


def _reciprocal(nearest):
    """Of each image's nearest those that have it among their own."""
    has = (nearest[nearest] == np.arange(len(nearest))[:, None, None]).any(-1)
    return [row[kept].tolist() for row, kept in zip(nearest, has, strict=True)]


def _jaccard(sets, by_member, i):
    """Jaccard distances of an image's set to those of all images."""
    own = slice(sets.indptr[i], sets.indptr[i + 1])
    members, weights = sets.indices[own], sets.data[own]
    spans = [
        slice(by_member.indptr[member], by_member.indptr[member + 1])
        for member in members
    ]
    smaller = np.concatenate(
        [
            np.minimum(weight, by_member.data[span])
            for weight, span in zip(weights, spans, strict=True)
        ]
    )
    who = np.concatenate([by_member.indices[span] for span in spans])
    shared = np.bincount(who, smaller, sets.shape[0])
    # Both sets weigh 1: what they have together weighs 2 - shared.
    return 1 - shared / (2 - shared)
