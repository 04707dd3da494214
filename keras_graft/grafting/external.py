"""The method: every network takes in weights of the one before it."""

import math
from collections.abc import Callable
from collections.abc import Sequence

import numpy as np

from keras_graft.grafting.coefficient import graft_coefficient
from keras_graft.grafting.plan import GraftPlan
from keras_graft.grafting.plan import write


def graft_ring(
    weights: Sequence[np.ndarray], coefficients: Sequence[float]
) -> list[np.ndarray]:
    """Grafts one weight around the ring.

    Network k becomes `coefficients[k] * weights[k] + (1 - coefficients[k]) *
    weights[k - 1]`; network 0 receives from the last one. All weights are
    read before any is replaced (arXiv 2001.05868, section 3.4).

    Args:
        weights: N arrays of one shape, float.
        coefficients: N floats in [0, 1], the share that each network keeps.

    Returns:
        N new arrays. One network keeps its weights.

    Raises:
        ValueError: If the two lists differ in length.
    """
    if len(weights) != len(coefficients):
        raise ValueError(
            "`weights` and `coefficients` must have one entry for each "
            f"network. Received {len(weights)} and {len(coefficients)}."
        )
    if len(weights) == 1:
        return [np.array(weights[0])]
    return [
        coefficient * own + (1.0 - coefficient) * peer
        for own, peer, coefficient in zip(
            weights, _peers(weights), coefficients, strict=True
        )
    ]


def ring_learning_rates(base: float, n: int) -> list[float]:
    """Learning rates that keep equal networks on equal batches apart.

    Network i of 1..n has `base * (1 + cos(pi * (n - i) / n)) / 2`, as in the
    reference's code; the last one has `base`.

    Args:
        base: Learning rate of the last network, above 0.
        n: Number of networks, at least 1.

    Returns:
        List of n floats, rising.

    Raises:
        ValueError: If `base` is not above 0 or `n` is below 1.
    """
    if not (math.isfinite(base) and base > 0) or n < 1:
        raise ValueError(
            "`base` must be above 0 and `n` at least 1. Received: "
            f"base={base}, n={n}"
        )
    return [
        base * (1 + math.cos(math.pi * (n - i) / n)) / 2
        for i in range(1, n + 1)
    ]


def graft_external(
    plan: GraftPlan,
    live: Sequence[int],
    information: Callable[[np.ndarray], float],
    amplitude: float,
    slope: float,
) -> dict[str, list[float]]:
    """Grafts every layer of the live networks around their ring.

    Args:
        plan: What to graft.
        live: Positions of the networks that take part; the others are passed
            over and left as they are.
        information: Criterion: kernel -> how much information it holds.
        amplitude: In [0, 1].
        slope: At least 0.

    Returns:
        For each kernel's path the coefficient of each live network.
    """
    coefficients = []
    for site in plan.kernels:
        kernels = _live(site.read(), live)
        held = [information(kernel) for kernel in kernels]
        coefficients.append(
            [
                graft_coefficient(own, peer, amplitude, slope)
                for own, peer in zip(held, _peers(held), strict=True)
            ]
        )
        write(site, live, graft_ring(kernels, coefficients[-1]))
    equal = [0.5] * len(live)
    for site in plan.followers:
        share = equal if site.kernel is None else coefficients[site.kernel]
        write(site, live, graft_ring(_live(site.read(), live), share))
    paths = [site.path for site in plan.kernels]
    return dict(zip(paths, coefficients, strict=True))


def _peers(items: Sequence) -> list:
    return [items[k - 1] for k in range(len(items))]


def _live(items: Sequence, live: Sequence[int]) -> list:
    return [items[k] for k in live]
