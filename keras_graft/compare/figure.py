"""Accuracy against training cost, one point an arm."""

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator
from matplotlib.ticker import NullLocator

from keras_graft.compare.arms import BASELINE
from keras_graft.compare.arms import RIVALS
from keras_graft.compare.records import Record
from keras_graft.compare.summary import Row
from keras_graft.compare.summary import rows

# What a reader of the figure has to know.
LEGEND = (
    "Mean and standard deviation over seeds. Blue: the rivals; red: this "
    "package's own arms; hollow: several networks at inference. Points in one "
    "grey band cost the same."
)

_MARKERS = "osD^vP*X<>hpdH8"
# Arms at one cost stand this factor apart, in the middle of a band.
_APART = 1.04


def accuracy_against_cost(records: Sequence[Record], title: str) -> Figure:
    """Mean test accuracy, and its standard deviation, of every arm.

    Args:
        records: Those of a study, at least one.
        title: What stands above.

    Returns:
        A figure; `LEGEND` explains it.
    """
    arms = rows(records)
    figure = Figure(figsize=(9.0, 4.8), layout="constrained")
    axes = figure.subplots()
    for i, (row, x) in enumerate(zip(arms, _places(arms), strict=True)):
        color = "tab:blue" if row.arm in RIVALS else "tab:red"
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
        if row.arm == BASELINE:
            level = 100 * row.accuracy
            axes.axhline(level, color="0.6", lw=1, ls="--", zorder=1)
    axes.set_xscale("log")
    costs = sorted({round(_cost(row), 1) for row in arms})
    for cost in costs:
        same = sum(round(_cost(row), 1) == cost for row in arms)
        reach = _APART ** (same / 2 + 0.5)
        axes.axvspan(cost / reach, cost * reach, color="0.95", zorder=0)
    axes.xaxis.set_major_locator(FixedLocator(_apart(costs)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
    axes.set_xlabel("training cost, in single networks")
    axes.set_ylabel("test accuracy, %")
    axes.set_title(title, fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.3)
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
    for by_one, indices in by_cost.items():
        for j, i in enumerate(indices):
            places[i] = by_one * _APART ** (j - (len(indices) - 1) / 2)
    return places


def _apart(costs: list[float]) -> list[float]:
    """Costs whose numbers do not overlap on the axis."""
    kept: list[float] = []
    for cost in costs:
        if not kept or cost > 1.15 * kept[-1]:
            kept.append(cost)
    return kept
