"""The table and the picture of `invalid_filters.py`."""

import pathlib

import numpy as np

# kind: in table and picture, flag, colour
KINDS = {
    "apart": ("without", "--nograft", "#0072b2"),
    "grafted": ("with", "--graft", "#d55e00"),
}
THRESHOLDS = (1.0, 0.1, 0.01, 0.001)


def markdown(records: list[dict]) -> str:
    """A row for each network."""
    threshold = records[0]["threshold"]
    lines = [
        "| seed | network | grafting | "
        + " | ".join(f"l1 < {value:g}" for value in THRESHOLDS)
        + " | in all networks | test accuracy | invalid set to zero |",
        "| --- " * (6 + len(THRESHOLDS)) + "|",
    ]
    for record in records:
        for k, counts in enumerate(record["by_threshold"]):
            cells = [
                f"{count:,} ({count / record['filters']:.1%})"
                for count in counts
            ]
            lines.append(
                f"| {record['seed']} | {k} | {KINDS[record['kind']][0]} | "
                + " | ".join(cells)
                + f" | {record['invalid_in_all']:,}"
                f" | {record['test_accuracy'][k]:.4f}"
                f" | {record['test_accuracy_without_invalid'][k]:.4f} |"
            )
    lines += [
        "",
        f"Invalid filters of {records[0]['filters']:,} after the last of "
        f"{len(records[0]['by_epoch'][0])} epochs. In all networks: positions "
        f"below {threshold:g} in every network of the run. Invalid set to "
        f"zero: test accuracy without the filters below {threshold:g}.",
    ]
    return "\n".join(lines) + "\n"


def draw(records: list[dict], path: pathlib.Path) -> None:
    """Shares by epoch on the left, by threshold after the last on the right."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(
        ncols=2, figsize=(10, 4), layout="constrained"
    )
    width = 0.8 / len(KINDS)
    for position, (kind, (name, _, colour)) in enumerate(KINDS.items()):
        runs = [record for record in records if record["kind"] == kind]
        curves = shares(runs, "by_epoch")
        epochs = np.arange(1, curves.shape[1] + 1)
        for curve in curves:
            left.plot(epochs, curve, color=colour, alpha=0.3, linewidth=1)
        left.plot(
            epochs,
            curves.mean(axis=0),
            color=colour,
            label=f"{name} grafting",
        )
        ends = shares(runs, "by_threshold")
        places = np.arange(len(THRESHOLDS)) + (position + 0.5) * width - 0.4
        right.bar(places, ends.mean(axis=0), width, color=colour, alpha=0.75)
        for end in ends:
            right.plot(places, end, "o", color="black", markersize=3)
    threshold = records[0]["threshold"]
    left.set(
        xlabel="epoch",
        ylabel=f"filters with an l1 norm below {threshold:g} (%)",
    )
    left.xaxis.get_major_locator().set_params(integer=True)
    right.set(
        xlabel="threshold of the l1 norm",
        ylabel="filters below it after the last epoch (%)",
    )
    right.set_xticks(
        range(len(THRESHOLDS)), [f"{value:g}" for value in THRESHOLDS]
    )
    for axes in (left, right):
        axes.set_ylim(bottom=0)
        axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=len(KINDS), frameon=False)
    figure.savefig(path, dpi=120)


def shares(runs: list[dict], key: str) -> np.ndarray:
    """Percentages of all filters, a row for each network of each run."""
    return np.array(
        [
            np.multiply(counts, 100 / run["filters"])
            for run in runs
            for counts in run[key]
        ]
    )
