"""The picture of a benchmark."""

import pathlib
from collections.abc import Sequence

from measuring.targets import TARGETS

_SIDES = (
    ("images_per_second", "this trainer"),
    ("keras_fits_images_per_second", "plain Keras fits"),
    ("pytorch_tuned_images_per_second", "PyTorch, tuned"),
    ("pytorch_as_shipped_images_per_second", "PyTorch, as shipped"),
    ("pytorch_bare_images_per_second", "PyTorch, bare steps"),
)
_RATIOS = (
    "speedup_over_keras_fits",
    "speedup_over_pytorch_tuned",
    "speedup_over_pytorch_as_shipped",
    "graft_speedup_over_reference",
)


def draw(results: Sequence[dict], path: pathlib.Path) -> None:
    """Draws speeds of all sides, and the ratios with floors and aims.

    Args:
        results: What `throughput.py` wrote, one for each size.
        path: Picture file to write.
    """
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    results = [r for r in results if "images_per_second" in r]
    figure, (speeds, ratios) = pyplot.subplots(
        1, 2, figsize=(13, 5), gridspec_kw={"width_ratios": (3, 2)}
    )
    _draw_speeds(speeds, results)
    _draw_ratios(ratios, results[0])
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def _draw_speeds(panel, results):
    sides = [side for side in _SIDES if any(side[0] in r for r in results)]
    width = 0.8 / len(sides)
    for i, (key, words) in enumerate(sides):
        shown = [(at, r) for at, r in enumerate(results) if key in r]
        panel.bar(
            [at + (i + 0.5) * width for at, _ in shown],
            [r[key] for _, r in shown],
            width,
            yerr=_reach(key, [r for _, r in shown]),
            label=words,
            color=f"C{i}",
        )
    slanted = len(results) > 3
    panel.set_xticks(
        [at + 0.4 for at in range(len(results))],
        [f"{r['networks']} x {r['model']}" for r in results],
        rotation=30 if slanted else 0,
        rotation_mode="anchor",
        ha="right" if slanted else "center",
    )
    panel.set_ylabel("network-images a second, whole epoch")
    panel.margins(y=0.25)
    panel.legend(fontsize="small", loc="upper center", ncols=3)


def _draw_ratios(panel, result):
    shown = [key for key in _RATIOS if key in result]
    panel.barh(
        range(len(shown)),
        [result[key] for key in shown],
        xerr=_reach_of_keys(shown, result),
    )
    highest = 1.0
    for at, key in enumerate(shown):
        target = next(t for t in TARGETS if t.key == key)
        for bound, color in ((target.floor, "tab:red"), (target.aim, "black")):
            panel.plot([bound] * 2, [at - 0.4, at + 0.4], color=color)
        highest = max(highest, target.aim, result["intervals"][key][1])
    panel.set_xscale("log")
    panel.set_xlim(0.5, 1.5 * highest)
    ticks = [t for t in (0.5, 1, 2, 5, 10, 20, 50, 100) if t < 1.5 * highest]
    panel.set_xticks(ticks, [str(tick) for tick in ticks])
    panel.minorticks_off()
    panel.axvline(1, color="grey", linewidth=0.8)
    panel.set_yticks(
        range(len(shown)), [key.replace("_", " ") for key in shown]
    )
    panel.set_title(
        f"{result['networks']} x {result['model']}; floor red, aim black",
        fontsize="medium",
    )


def _reach(key, results):
    """Distances from the medians down and up to the intervals' ends."""
    pairs = [(r[key], r["intervals"][key]) for r in results]
    return [
        [median - low for median, (low, _) in pairs],
        [high - median for median, (_, high) in pairs],
    ]


def _reach_of_keys(keys, result):
    parts = [_reach(key, [result]) for key in keys]
    return [[low[0] for low, _ in parts], [high[0] for _, high in parts]]
