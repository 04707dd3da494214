"""Medians with their intervals, paired ratios and growth. Numbers only."""

import dataclasses
import math
import statistics
from collections.abc import Sequence

CONFIDENCE = 0.9


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A median and an interval around it.

    Attributes:
        median: In the unit of the values.
        low: Lower end of the interval.
        high: Upper end.
        coverage: Probability that the interval holds the median of what the
            values are drawn from, in [0, 1).
        count: Number of values.
    """

    median: float
    low: float
    high: float
    coverage: float
    count: int


def estimate(values: Sequence[float]) -> Estimate:
    """The median with the narrowest interval of at least 90 % coverage.

    The ends are order statistics: whatever the values' distribution, the
    number of values below its median is binomial with probability 1/2.

    Args:
        values: At least one. Fewer than five cannot cover 90 %: the interval
            is then from the smallest to the largest, and `coverage` says how
            much that is.
    """
    if not values:
        raise ValueError("No values: every estimate needs one at least.")
    ordered = sorted(values)
    count = len(ordered)
    skipped = max(
        k
        for k in range((count + 1) // 2)
        if k == 0 or _coverage(count, k) >= CONFIDENCE
    )
    return Estimate(
        statistics.median(ordered),
        ordered[skipped],
        ordered[count - 1 - skipped],
        _coverage(count, skipped),
        count,
    )


def _coverage(count: int, skipped: int) -> float:
    """Of the interval that leaves `skipped` values out at either end."""
    tail = sum(math.comb(count, k) for k in range(skipped + 1)) / 2**count
    return max(0.0, 1 - 2 * tail)


def ratios(
    numerators: Sequence[float], denominators: Sequence[float]
) -> list[float]:
    """Quotients of what was measured in the same round.

    Args:
        numerators: One value a round.
        denominators: As many, above 0.
    """
    return [n / d for n, d in zip(numerators, denominators, strict=True)]


def growth_exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """The b of `cost = a * size**b`, by least squares of the logarithms.

    Args:
        sizes: Above 0, at least two different ones.
        costs: As many, above 0.
    """
    if len(set(sizes)) < 2:
        raise ValueError(
            "Growth needs two different sizes at least. Received: "
            f"{list(sizes)}"
        )
    x = [math.log(size) for size in sizes]
    y = [math.log(cost) for cost in costs]
    return statistics.linear_regression(x, y).slope


def last_exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """The exponent between the two largest sizes.

    A fixed cost hides growth in `growth_exponent`; it weighs least here.

    Args:
        sizes: Rising, at least two.
        costs: As many, above 0.
    """
    return growth_exponent(sizes[-2:], costs[-2:])
