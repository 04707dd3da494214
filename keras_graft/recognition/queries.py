"""Which images of an identity are looked for, and which are in the gallery."""

import numpy as np

from keras_graft.checks.numbers import is_number

# Streams of a seed.
_QUERIES = 1
_IDENTITIES = 2


def found_again(ids: np.ndarray, cameras: np.ndarray) -> np.ndarray:
    """The identities that can be found again: with images by two cameras.

    Args:
        ids: Identities, int, shape [images].
        cameras: int, shape [images].

    Returns:
        Sorted identities, int.
    """
    pairs = np.unique(np.stack([ids, cameras]), axis=1)
    identities, num_cameras = np.unique(pairs[0], return_counts=True)
    return identities[num_cameras > 1]


def draw_queries(ids: np.ndarray, cameras: np.ndarray, seed: int) -> np.ndarray:
    """Draws one query for each identity that can be found again.

    Args:
        ids: Identities, int, shape [images].
        cameras: int, shape [images].
        seed: Seed of the draw, 0 or more.

    Returns:
        bool, shape [images]: True for a query. An identity whose images are
        all by one camera has none.
    """
    rng = np.random.default_rng([seed, _QUERIES])
    order = rng.permutation(len(ids))
    is_query = np.zeros(len(ids), dtype=bool)
    _, firsts = np.unique(ids[order], return_index=True)
    rows = order[firsts]
    is_query[rows[np.isin(ids[rows], found_again(ids, cameras))]] = True
    return is_query


def hold_out(
    ids: np.ndarray, cameras: np.ndarray, fraction: float, seed: int
) -> np.ndarray:
    """Draws identities to choose a network by, which it does not train on.

    Args:
        ids: Identities that are trained on, int, shape [images].
        cameras: int, shape [images].
        fraction: Share of the identities, in (0, 1).
        seed: Seed of the draw, 0 or more.

    Returns:
        bool, shape [images]: True for all images of an identity that is
        drawn, each of which has images by two cameras.

    Raises:
        ValueError: If the share is fewer than two identities or leaves fewer
            than two to train on, or is out of its range.
    """
    if not (is_number(fraction) and 0 < fraction < 1):
        raise ValueError(
            f"`fraction` must be in (0, 1). Received: {fraction!r}"
        )
    identities, able = np.unique(ids), found_again(ids, cameras)
    count = round(fraction * len(identities))
    most = min(len(able), len(identities) - 2)
    if not 2 <= count <= most:
        allowed = f"from 2 to {most}" if most >= 2 else "2 or more, and cannot"
        raise ValueError(
            f"fraction={fraction} of {len(identities)} identities "
            f"is {count}. It must be {allowed}: those with images by two "
            "cameras can be held out, and two must be left to train on. 0 "
            "holds out none (--validation_fraction=0)."
        )
    rng = np.random.default_rng([seed, _IDENTITIES])
    return np.isin(ids, rng.permutation(able)[:count])
