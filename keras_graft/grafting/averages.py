"""Moving averages of weights are grafted as the weights are."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from keras_graft.grafting.graft_plan import GraftPlan
from keras_graft.optimizers.moving_averages import averages_of


def with_averages(
    plan: GraftPlan, optimizers: Sequence[Any]
) -> tuple[GraftPlan, list[int]]:
    """Adds the averages that optimizers with `use_ema=True` keep.

    An average that stayed behind while its weight was grafted would be one
    of two networks.

    Args:
        plan: What is grafted.
        optimizers: The optimizers of the networks.

    Returns:
        `(plan, origins)`: the plan with the averages as further followers,
        and for each of them the position, among the plan's kernels and
        followers, of its weight.
    """
    averages = {}
    for optimizer in optimizers:
        averages.update(averages_of(optimizer))
    added, origins = [], []
    for i, site in enumerate([*plan.kernels, *plan.followers]):
        if all(id(variable) in averages for variable in site.variables):
            of_site = tuple(averages[id(v)] for v in site.variables)
            added.append(
                dataclasses.replace(
                    site, variables=of_site, path=f"{site.path} (average)"
                )
            )
            origins.append(i)
    followers = [*plan.followers, *added]
    return dataclasses.replace(plan, followers=followers), origins
