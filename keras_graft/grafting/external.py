"""The method: every network takes in weights of the one before it."""

import math
from collections.abc import Callable
from collections.abc import Sequence

import numpy as np

from keras_graft.checks.numbers import is_number
from keras_graft.checks.numbers import is_whole
from keras_graft.grafting.coefficient import graft_coefficient
from keras_graft.grafting.graft_plan import GraftPlan
from keras_graft.grafting.graft_plan import write


def graft_ring(
    weights: Sequence[np.ndarray], coefficients: Sequence[float]
) -> list[np.ndarray]:
    """Grafts one weight around the ring.

    Network k becomes `coefficients[k] * weights[k] + (1 - coefficients[k]) *
    weights[k - 1]`; network 0 receives from the last one. All weights are
    read before any is replaced (arXiv 2001.05868, section 3.4).

    Args:
        weights: N arrays of one shape, float.
        coefficients: N floats in [0, 1], the share that each network keeps,
            or N arrays of them that broadcast to the weights. They are
            rounded to the weights' dtype.

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
        _blended(own, peer, coefficient)
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
    if not (is_number(base) and base > 0 and is_whole(n, 1)):
        raise ValueError(
            "`base` must be a number above 0 and `n` a whole number, at least "
            f"1. Received: base={base!r}, n={n!r}"
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
        information: Criterion: how much information a kernel holds.
        amplitude: In [0, 1].
        slope: At least 0.

    Returns:
        For each kernel's path the coefficient of each live network.
    """
    coefficients = []
    for site in plan.kernels:
        weights = site.read(live)
        held = [information(kernel) for kernel in weights]
        coefficients.append(_ring_coefficients(held, amplitude, slope))
        write(site, live, graft_ring(weights, coefficients[-1]))
    unknown = [0.5] * len(live)
    for site in plan.followers:
        found = unknown if site.kernel is None else coefficients[site.kernel]
        write(site, live, graft_ring(site.read(live), found))
    paths = [site.path for site in plan.kernels]
    return dict(zip(paths, coefficients, strict=True))


def _ring_coefficients(held, amplitude, slope):
    return [
        graft_coefficient(own, peer, amplitude, slope)
        for own, peer in zip(held, _peers(held), strict=True)
    ]


def _blended(own, peer, coefficient):
    # Of the weights' dtype, so that the sum is of it too.
    dtype = np.result_type(own, 0.0)
    blended = np.asarray(coefficient, dtype) * own
    blended += np.asarray(1.0 - coefficient, dtype) * peer
    return blended


def _peers(items: Sequence) -> list:
    return [items[k - 1] for k in range(len(items))]
