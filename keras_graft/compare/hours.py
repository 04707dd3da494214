"""What fits in `--hours`: which arms, how many seeds, how many epochs.

Nothing here trains or reads a clock: what a plan costs is a function that is
given.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

# In the order in which they come into a plan, by what results/README.md has:
# one network for all of the budget, the strongest rival there; two that teach
# each other, ahead of it once one network has had its epochs; one network for
# a part of the budget, which says whether it has; all networks together, at
# their inference.
ORDER = ("swa_long", "mutual:average", "swa", "ensemble_average")
# What was measured was N = 2; more epochs were better than more networks.
NUM_NETWORKS = 2

# Fewer are no training: the weights of the last quarter are averaged, which
# is to be two epochs at least, and nothing is learnt in a few steps.
_LEAST_EPOCHS = 8
_LEAST_STEPS = 500
# More are not asked for by themselves. The study in which two networks were
# ahead had 12,400 steps, the one in which they were not 3,100.
_MOST_EPOCHS = 100
_MOST_STEPS = 10_000

# Of the hours: what the plan leaves to chance.
_MARGIN = 0.1


class Rung(NamedTuple):
    """A plan's size.

    Attributes:
        arms: Number of arms, from the first of `ORDER` on.
        seeds: Number of seeds.
        share: Of the epochs that are wanted.
    """

    arms: int
    seeds: int
    share: float


# From the least that is worth its time to the most. Three seeds give an
# interval of two and a half standard deviations to each side, five of one and
# a quarter, ten of 0.7; with two it is nine.
LADDER = (
    Rung(2, 3, 0.0),
    Rung(2, 3, 0.25),
    Rung(2, 5, 0.25),
    Rung(3, 5, 0.25),
    Rung(3, 5, 0.5),
    Rung(4, 5, 1.0),
    Rung(4, 8, 1.0),
    Rung(4, 10, 1.0),
)


class Wish(NamedTuple):
    """What the command line leaves open, or not.

    Attributes:
        arms: Names of the arms; empty: open.
        num_seeds: None: open.
        epochs: The most; None: open.
    """

    arms: tuple[str, ...] = ()
    num_seeds: int | None = None
    epochs: int | None = None


class Choice(NamedTuple):
    """A plan.

    Attributes:
        arms: Names of the arms.
        num_seeds: Seeds of each.
        epochs: Epochs of N networks; of one for the same cost N times them.
    """

    arms: tuple[str, ...]
    num_seeds: int
    epochs: int


# Seconds of a plan.
Cost = Callable[[Choice], float]


def epochs_range(wish: Wish, steps: int) -> tuple[int, int]:
    """The least and the most epochs of a plan.

    Args:
        wish: What was asked for.
        steps: Steps in an epoch.
    """
    most = wish.epochs or max(_MOST_EPOCHS, _MOST_STEPS // steps)
    return min(most, max(_LEAST_EPOCHS, -(-_LEAST_STEPS // steps))), most


def usable(seconds: float) -> float:
    """What a plan may take of the time that is left."""
    return (1 - _MARGIN) * seconds


def choose(seconds: float, cost: Cost, wish: Wish, steps: int) -> Choice | None:
    """The largest plan that fits.

    The highest rung of `LADDER` that fits, and then as many epochs as do.

    Args:
        seconds: Time that the plan may take.
        cost: What a plan takes; it grows with each of the three numbers.
        wish: What was asked for.
        steps: Steps in an epoch.

    Returns:
        The plan, or None if not even the smallest fits.
    """
    _, most = epochs_range(wish, steps)
    for choice in reversed(_choices(wish, steps)):
        if cost(choice) <= seconds:
            low, high = choice.epochs, most
            while low < high:
                middle = -(-(low + high) // 2)
                if cost(choice._replace(epochs=middle)) <= seconds:
                    low = middle
                else:
                    high = middle - 1
            return choice._replace(epochs=low)
    return None


def smallest(wish: Wish, steps: int) -> Choice:
    """The least that is worth its time, of what was asked for."""
    return _choices(wish, steps)[0]


def hours_for(seconds: float, beside: float) -> float:
    """The `--hours` to ask for, so that a plan fits.

    Args:
        seconds: What the plan takes.
        beside: What else does: timing, and what is before it.

    Returns:
        Hours, two digits, rounded up.
    """
    hours = (seconds / (1 - _MARGIN) + beside) / 3600
    digits = 1 - math.floor(math.log10(hours))
    return math.ceil(hours * 10**digits) / 10**digits


def _choices(wish, steps):
    least, most = epochs_range(wish, steps)
    return [
        Choice(
            wish.arms or ORDER[: rung.arms],
            wish.num_seeds or rung.seeds,
            max(least, round(rung.share * most)),
        )
        for rung in LADDER
    ]
