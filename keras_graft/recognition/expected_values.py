"""Metrics of a ranking in which some distances are equal.

Images at one distance are a *group*: their order says nothing, and whatever
order a sort happens to leave them in, an embedding that is the same for every
image would score by luck. So every metric is its expected value over all
orders of each group, in closed form.

Only groups with a match in them count. `before` is the number of images that
are nearer than a group's, `size` that of the group, `matches` that of the
right ones among the group.
"""

import functools

import numpy as np


def average_precision(
    query: np.ndarray,
    before: np.ndarray,
    size: np.ndarray,
    matches: np.ndarray,
    num_queries: int,
) -> np.ndarray:
    """The expected average precision of each query.

    It is the mean over a query's matches of the precision at their positions,
    what `sklearn.metrics.average_precision_score` is where nothing ties. A
    position j of a group is a match with probability matches / size, and then
    has (j - 1) (matches - 1) / (size - 1) matches of its group before it, on
    average (hypergeometric).

    Args:
        query: Number of the query that a group belongs to, int, shape
            [groups]; a query's groups follow each other, the nearest first.
        before: Images that are nearer, shape [groups].
        size: Images of the group, shape [groups].
        matches: Matches among them, at least 1, shape [groups].
        num_queries: Number of queries.

    Returns:
        float64, shape [num_queries], in [0, 1]; NaN for a query without a
        group.
    """
    before, size, matches = (
        np.asarray(counts, np.float64) for counts in (before, size, matches)
    )
    total = np.bincount(query, matches, num_queries)
    # Matches in the groups before, of the same query.
    found = np.cumsum(matches) - matches
    starts = np.searchsorted(query, np.arange(num_queries))
    starts = np.minimum(starts, max(len(found) - 1, 0))
    found = found - found[starts][query] if len(found) else found
    follow = np.where(size > 1, (matches - 1) / np.maximum(size - 1, 1), 0.0)
    # sum over j of (found + 1 + (j - 1) follow) / (before + j)
    sums = _harmonic_sums(before, size)
    precisions = size * follow + (found + 1 - follow * (before + 1)) * sums
    gained = np.bincount(query, matches / size * precisions, num_queries)
    with np.errstate(invalid="ignore"):
        return np.where(total > 0, gained / total, np.nan)


def _harmonic_sums(before: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Sums of 1 / (before + j) over j = 1 ... size, group by group."""
    last = int((before + size).max(initial=0))
    sums = np.concatenate([[0.0], np.cumsum(1.0 / np.arange(1, last + 1))])
    before, size = before.astype(int), size.astype(int)
    # A single image is not the difference of two long sums.
    return np.where(
        size == 1,
        1.0 / (before + 1.0),
        sums[before + size] - sums[before],
    )


def found_by_rank(
    before: np.ndarray,
    size: np.ndarray,
    matches: np.ndarray,
    ranks: tuple[int, ...],
) -> np.ndarray:
    """The probability that a match is among the first images (CMC).

    Args:
        before: Of each query's first group, shape [queries].
        size: Likewise.
        matches: Likewise.
        ranks: How many images are looked at, each 1 or more.

    Returns:
        float64, shape [queries, len(ranks)].
    """
    missed = np.ones(len(before))
    at = {}
    for rank in range(1, max(ranks) + 1):
        drawn = rank - before - 1  # Images of the group that are not drawn.
        left = size - drawn
        wrong = np.maximum(size - matches - drawn, 0)
        share = wrong / np.maximum(left, 1)
        missed = np.where(drawn < 0, missed, missed * share)
        at[rank] = 1.0 - missed
        if not missed.any():
            break
    nothing_missed = np.ones(len(before))
    return np.stack([at.get(rank, nothing_missed) for rank in ranks], axis=1)


@functools.lru_cache(maxsize=4096)
def inverse_last_position(before: int, size: int, matches: int) -> float:
    """The expected 1 / position of the last match of a group.

    The last of `matches` at random among `size` is at m with probability
    C(m - 1, matches - 1) / C(size, matches).

    Args:
        before: Images that are nearer.
        size: Images of the group.
        matches: Matches among them, 1 to `size`.

    Returns:
        A number in (0, 1].
    """
    # Downwards from m = size: P(m - 1) / P(m) = (m - matches) / (m - 1).
    places = np.arange(size, matches - 1, -1, dtype=np.float64)
    ratios = (places[:-1] - matches) / np.maximum(places[:-1] - 1, 1)
    probabilities = matches / size * np.cumprod([1.0, *ratios])
    return float((probabilities / (before + places)).sum())
