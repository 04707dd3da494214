"""The pictures of a diagnosis and of a comparison."""

import os
from typing import TYPE_CHECKING

import numpy as np

from keras_graft.checks import packages
from keras_graft.diagnosis.table import counted

if TYPE_CHECKING:
    from keras_graft.diagnosis.comparison import Comparison
    from keras_graft.diagnosis.diagnosis import Diagnosis

# Formats that a picture can have, by the file's ending.
FORMATS = (".pdf", ".png", ".svg")

# Okabe and Ito's colours, which the colour-blind tell apart.
_MODEL_COLOURS = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#CC79A7",
    "#56B4E9",
    "#D55E00",
    "#000000",
)
_RANDOM = "as many filters drawn at random"
# More names than this cannot be read below each other.
_MAX_NAMES = 70


def draw_layers(diagnosis: "Diagnosis", path: str | os.PathLike) -> None:
    """Draws a network: invalid filters and l1 norms of each kernel.

    Args:
        diagnosis: The network.
        path: A file with one of the endings `FORMATS`.

    Raises:
        ValueError: If the ending is another one.
    """
    layers = diagnosis.layers
    place = np.arange(len(layers))
    figure = _figure(path, min(max(6.4, 2.0 + 0.22 * len(layers)), 18), 7.2)
    shares, norms = figure.subplots(2, 1, sharex=True)

    for threshold, colour in _threshold_colours(diagnosis.thresholds):
        below = [row.invalid[threshold] / row.filters for row in layers]
        shares.bar(
            place,
            np.multiply(below, 100),
            width=0.8,
            color=colour,
            label=f"l1 < {threshold:g}",
        )
    totals = diagnosis.totals
    figure.suptitle(
        f"{diagnosis.name}: {counted(totals.filters, 'filter')} in "
        + counted(totals.kernels, "convolution kernel")
    )
    shares.set_ylabel("invalid filters (%)")
    _start_at_zero(shares)
    _legend_above(shares, len(diagnosis.thresholds))

    low, mean, high = (
        np.array([getattr(row, name) for row in layers])
        for name in ("l1_min", "l1_mean", "l1_max")
    )
    # Weight decay takes dead filters to 1e-30 and to zero: the axis ends well
    # below the last threshold.
    floor = diagnosis.thresholds[-1] / 10
    norms.vlines(
        place,
        np.maximum(low, floor),
        np.maximum(high, floor),
        color="#9ECAE1",
        linewidth=3,
        label="smallest to largest",
    )
    norms.plot(
        place,
        np.maximum(mean, floor),
        "o",
        color="#08306B",
        markersize=4,
        label="mean",
    )
    for threshold in diagnosis.thresholds:
        norms.axhline(threshold, color="0.6", linewidth=0.8, linestyle=":")
    norms.set_yscale("log")
    norms.set_ylim(bottom=floor / 1.5)
    norms.set_ylabel(
        "l1 norm of the filters"
        + (f"\n(lowest: {floor:g} or less)" if (low < floor).any() else "")
    )
    norms.set_xlim(-0.6, len(layers) - 0.4)
    if len(layers) <= _MAX_NAMES:
        norms.set_xticks(place, [row.name for row in layers], rotation=90)
        norms.tick_params(axis="x", labelsize=7)
    else:
        norms.set_xlabel("kernel, in layer order")
    _legend_above(norms, 2)
    figure.savefig(path)


def draw_comparison(comparison: "Comparison", path: str | os.PathLike) -> None:
    """Draws several networks: invalid filters, l1 norms at fixed positions.

    Args:
        comparison: The networks.
        path: A file with one of the endings `FORMATS`.

    Raises:
        ValueError: If the ending is another one.
    """
    thresholds = comparison.thresholds
    names = list(comparison.names)
    names[comparison.reference] += " (reference)"
    entries = [*names, _RANDOM]
    columns = min(len(entries), max(1, 140 // (max(map(len, entries)) + 8)))
    legend_rows = -(-len(entries) // columns)
    figure = _figure(path, 12, 4.2 + 0.2 * legend_rows)
    shares, valid, invalid = figure.subplots(1, 3)
    totals = [diagnosis.totals for diagnosis in comparison.diagnoses]
    _grouped_bars(
        shares,
        names,
        [
            [100 * t.invalid[key] / t.filters for key in thresholds]
            for t in totals
        ],
    )
    shares.set_title("invalid filters (%)", fontsize=10)
    for axes, wanted in ((valid, True), (invalid, False)):
        rows = [row for row in comparison.sets if row.valid == wanted]
        _grouped_bars(
            axes,
            names,
            _by_model([row.l1_means for row in rows]),
            _by_model([row.random_l1_means for row in rows]),
        )
        label = "valid" if wanted else "invalid"
        axes.set_title(
            f"mean l1 norm, filters {label} in the reference", fontsize=10
        )
    for axes in (shares, valid, invalid):
        axes.set_xticks(range(len(thresholds)), [f"{t:g}" for t in thresholds])
        axes.set_xlabel("threshold of the l1 norm")
        axes.set_xlim(-0.6, len(thresholds) - 0.4)
        axes.spines[["top", "right"]].set_visible(False)
        _start_at_zero(axes)
    handles, labels = invalid.get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=columns,
        frameon=False,
    )
    figure.savefig(path)


def _by_model(rows):
    """One row per model instead of one per threshold, None as NaN."""
    return np.array(rows, dtype="float64").T


def _grouped_bars(axes, names, heights, marks=None):
    """Draws a group of bars per threshold, and a mark on each bar.

    `heights` and `marks` have the shape (models, thresholds).
    """
    width = 0.8 / len(names)
    for k, (name, row) in enumerate(zip(names, heights, strict=True)):
        places = np.arange(len(row)) - 0.4 + (k + 0.5) * width
        colour = _MODEL_COLOURS[k % len(_MODEL_COLOURS)]
        axes.bar(places, row, width, color=colour, label=name)
        if marks is not None:
            axes.hlines(
                marks[k],
                places - width / 2,
                places + width / 2,
                color="black",
                linewidth=1.5,
                label=None if k else _RANDOM,
            )


def _start_at_zero(axes):
    """Ends the axis at zero, and says so where there is nothing to show."""
    heights = [bar.get_height() for bar in axes.patches]
    if not np.nansum(heights):
        axes.text(0.5, 0.5, "none", transform=axes.transAxes, ha="center")
        axes.set_ylim(0, 1)
    axes.set_ylim(bottom=0)


def _figure(path, width, height):
    ending = os.path.splitext(path)[1].lower()
    if ending not in FORMATS:
        raise ValueError(
            f"A picture must end with one of {', '.join(FORMATS)}. Received: "
            f"{os.fspath(path)!r}"
        )
    packages.require("A picture", packages.PICTURES)
    # Imported when a picture is drawn: it takes most of a second. Without
    # pyplot there is no display and no global state; Agg is what it draws on.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _threshold_colours(thresholds):
    """Light for the largest threshold, dark for the smallest."""
    from matplotlib import colormaps

    tones = np.linspace(0.25, 1.0, len(thresholds))
    return list(zip(thresholds, colormaps["Blues"](tones), strict=True))


def _legend_above(axes, columns):
    axes.legend(
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        ncols=columns,
        frameon=False,
        fontsize=8,
        borderaxespad=0.2,
    )
    axes.spines[["top", "right"]].set_visible(False)
