"""How far apart the networks' predictions are just before each graft.

    python benchmarks/divergence.py --flagfile=cifar10.flags --epochs=20 \
        [--networks=2,3,4] [--kinds=shared,mutual,own] [--seeds=0] \
        [--workdir=runs/divergence] [-- --data_dir=DIR --train_examples=5000]

Each run is a process of the launch command in a folder of its own; finished
runs are not run again. Writes divergence.json, divergence.md and
divergence.png into the work directory. What follows `--` goes to every run.

Divergence: mean Kullback-Leibler divergence over all ordered pairs of
networks, in nats, on the images that the network is chosen on, at the end of
an epoch.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys

from keras_graft.runs.results import read_history

KINDS = {
    "shared": ("same batches", ("--batches=shared", "--mutual_weight=0")),
    "mutual": (
        "same batches, mutual distillation",
        ("--batches=shared", "--mutual_weight=1"),
    ),
    "own": ("own batches", ("--batches=own", "--mutual_weight=0")),
    "nograft": (
        "same batches, no graft",
        ("--batches=shared", "--mutual_weight=0", "--nograft"),
    ),
}


def main() -> int:
    arguments = parse_arguments()
    workdir = pathlib.Path(arguments.workdir)
    records = []
    for n in arguments.networks:
        for kind in arguments.kinds:
            for seed in arguments.seeds:
                folder = workdir / f"n{n}_{kind}_seed{seed}"
                if not run(arguments, n, kind, seed, folder):
                    return 1
                records.append(read(folder, n, kind, seed))
    (workdir / "divergence.json").write_text(
        json.dumps({"arguments": vars(arguments), "runs": records}, indent=2)
        + "\n",
        encoding="utf-8",
    )
    table = markdown(records)
    (workdir / "divergence.md").write_text(table, encoding="utf-8")
    draw(records, workdir / "divergence.png")
    print(table)
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.partition("\n")[0],
        epilog="What follows -- goes to every run.",
    )
    parser.add_argument("--flagfile", default="digits.flags")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--networks", type=_whole_numbers, default=[2, 3, 4])
    parser.add_argument(
        "--kinds", type=_kinds, default=["shared", "mutual", "own"]
    )
    parser.add_argument("--seeds", type=_whole_numbers, default=[0])
    parser.add_argument("--workdir", default="runs/divergence")
    parser.add_argument("flags", nargs="*")
    return parser.parse_args()


def run(
    arguments: argparse.Namespace,
    n: int,
    kind: str,
    seed: int,
    folder: pathlib.Path,
) -> bool:
    """Runs one setting, unless it is finished; says whether it is."""
    command = [
        *(sys.executable, "-m", "keras_graft.launch"),
        f"--flagfile={arguments.flagfile}",
        *arguments.flags,
        *KINDS[kind][1],
        f"--num_networks={n}",
        f"--epochs={arguments.epochs}",
        f"--seed={seed}",
        f"--workdir={folder}",
    ]
    print(f"{folder.name}: {' '.join(command[3:])}", flush=True)
    return subprocess.run(command).returncode == 0


def read(folder: pathlib.Path, n: int, kind: str, seed: int) -> dict:
    """The numbers of one finished run."""
    history = read_history(folder / "history.csv")
    results = json.loads((folder / "results.json").read_text("utf-8"))
    return {
        "networks": n,
        "kind": kind,
        "seed": seed,
        "divergence": history["divergence"],
        "test_accuracy": [
            network["test_accuracy"] for network in results["networks"]
        ],
        "ensemble_test_accuracy": results["ensemble_test_accuracy"],
    }


def markdown(records: list[dict]) -> str:
    """A row for each setting, means over seeds."""
    lines = [
        "| networks | kind | first | middle | last | network | ensemble |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for (n, kind), runs in by_setting(records).items():
        curve = mean_curve(runs)
        network = statistics.mean(
            statistics.mean(record["test_accuracy"]) for record in runs
        )
        ensemble = statistics.mean(
            record["ensemble_test_accuracy"] for record in runs
        )
        lines.append(
            f"| {n} | {KINDS[kind][0]} | {curve[0]:.4f} | "
            f"{curve[len(curve) // 2]:.4f} | {curve[-1]:.4f} | "
            f"{network:.4f} | {ensemble:.4f} |"
        )
    lines += [
        "",
        "Divergence in nats at the end of the first, the middle and the last "
        "epoch; test accuracy of the networks (mean) and of their ensemble "
        "after the last one.",
    ]
    return "\n".join(lines) + "\n"


def draw(records: list[dict], path: pathlib.Path) -> None:
    """One panel for each number of networks."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    numbers = sorted({record["networks"] for record in records})
    figure, axes = plt.subplots(
        ncols=len(numbers),
        figsize=(4 * len(numbers), 3.5),
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    colours = dict(zip(KINDS, ("#0072b2", "#d55e00", "#009e73", "#777777")))
    for (n, kind), runs in by_setting(records).items():
        axis = axes[0][numbers.index(n)]
        for record in runs:
            epochs = range(1, len(record["divergence"]) + 1)
            axis.plot(epochs, record["divergence"], c=colours[kind], alpha=0.2)
        curve = mean_curve(runs)
        epochs = range(1, len(curve) + 1)
        axis.plot(epochs, curve, c=colours[kind], label=KINDS[kind][0])
    for n, axis in zip(numbers, axes[0], strict=True):
        axis.set(title=f"{n} networks", xlabel="epoch", yscale="log")
        axis.xaxis.get_major_locator().set_params(integer=True)
    axes[0][0].set_ylabel("divergence before the graft (nats)")
    lines, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(lines, labels, loc="outside lower center")
    figure.savefig(path, dpi=150)


def by_setting(records: list[dict]) -> dict[tuple[int, str], list[dict]]:
    """The runs of each (number of networks, kind)."""
    groups: dict[tuple[int, str], list[dict]] = {}
    for record in records:
        key = record["networks"], record["kind"]
        groups.setdefault(key, []).append(record)
    return groups


def mean_curve(runs: list[dict]) -> list[float]:
    """Mean over seeds, epoch by epoch."""
    curves = [record["divergence"] for record in runs]
    return [statistics.mean(values) for values in zip(*curves, strict=True)]


def _whole_numbers(text):
    return [int(number) for number in text.split(",")]


def _kinds(text):
    kinds = text.split(",")
    unknown = set(kinds) - set(KINDS)
    if unknown:
        raise argparse.ArgumentTypeError(
            f"unknown: {', '.join(unknown)}; known: {', '.join(KINDS)}"
        )
    return kinds


if __name__ == "__main__":
    sys.exit(main())
