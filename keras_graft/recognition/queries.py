"""Which images of an identity are looked for, and which are in the gallery."""

import numpy as np

# Streams of a seed.
_QUERIES = 1
_IDENTITIES = 2


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
    other = {
        identity: len(np.unique(cameras[ids == identity])) > 1
        for identity in ids[rows].tolist()
    }
    is_query[[row for row in rows if other[int(ids[row])]]] = True
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
            than two to train on.
    """
    pairs = np.unique(np.stack([ids, cameras]), axis=1)
    identities, num_cameras = np.unique(pairs[0], return_counts=True)
    able = identities[num_cameras > 1]
    count = round(fraction * len(identities))
    if not 2 <= count <= min(len(able), len(identities) - 2):
        raise ValueError(
            f"validation_fraction={fraction} of {len(identities)} identities "
            f"is {count}. It must be from 2 to "
            f"{min(len(able), len(identities) - 2)}: those with images by two "
            "cameras can be held out, and two must be left to train on. 0 "
            "holds out none."
        )
    rng = np.random.default_rng([seed, _IDENTITIES])
    return np.isin(ids, rng.permutation(able)[:count])
