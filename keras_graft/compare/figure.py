"""Accuracy against training cost, one point an arm."""

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator
from matplotlib.ticker import NullLocator

from keras_graft.compare.records import Record
from keras_graft.compare.summary import Row
from keras_graft.compare.summary import rows

_MARKERS = "osD^vP*X<>hp"


def accuracy_against_cost(records: Sequence[Record], title: str) -> Figure:
    """Mean test accuracy, and its standard deviation, of every arm.

    Args:
        records: Those of a study, at least one.
        title: What stands above.

    Returns:
        A figure. A hollow marker: more than one network at inference.
    """
    arms = rows(records)
    figure = Figure(figsize=(9.0, 4.8), layout="constrained")
    axes = figure.subplots()
    for i, (row, x) in enumerate(zip(arms, _places(arms), strict=True)):
        color = f"C{i % 10}"
        axes.errorbar(
            x,
            100 * row.accuracy,
            yerr=0 if math.isnan(row.std) else 100 * row.std,
            fmt=_MARKERS[i % len(_MARKERS)],
            color=color,
            markerfacecolor="white" if row.inference_cost > 1.5 else color,
            markersize=7,
            capsize=3,
            elinewidth=1.2,
            label=_label(row),
        )
    single = arms[0].accuracy
    axes.axhline(100 * single, color="0.7", lw=1, ls="--", zorder=0)
    axes.set_xscale("log")
    costs = sorted({round(_cost(row), 1) for row in arms})
    axes.xaxis.set_major_locator(FixedLocator(_apart(costs)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
    axes.set_xlabel("training cost, in single networks")
    axes.set_ylabel("test accuracy, %")
    axes.set_title(title, fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right center", frameon=False, fontsize=9)
    return figure


def _cost(row: Row) -> float:
    return 1.0 if math.isnan(row.training_cost) else row.training_cost


def _label(row):
    text = f"{row.arm} {100 * row.accuracy:.1f}"
    if row.inference_cost > 1.5:
        text += f" ({row.inference_cost:.0f} x inference)"
    return text


def _places(arms: Sequence[Row]) -> list[float]:
    """The costs, spread a little where arms cost the same."""
    places: list[Any] = [None] * len(arms)
    by_cost: dict[float, list[int]] = {}
    for i, row in enumerate(arms):
        by_cost.setdefault(round(_cost(row), 1), []).append(i)
    for indices in by_cost.values():
        for j, i in enumerate(indices):
            places[i] = _cost(arms[i]) * 1.03 ** (j - (len(indices) - 1) / 2)
    return places


def _apart(costs: list[float]) -> list[float]:
    """Costs whose numbers do not overlap on the axis."""
    kept: list[float] = []
    for cost in costs:
        if not kept or cost > 1.15 * kept[-1]:
            kept.append(cost)
    return kept
