"""How time and memory grow with networks, depth, batch and data.

    python benchmarks/growth.py [--axes=networks,depth,batch,data]
        [--repeats=3] [--folder=runs/growth]

Each point is a fresh process that trains a few steps, timed by the processor
seconds of its threads. To every cost belong two exponents of
`cost = a * size**b`: fitted over all sizes, and between the two largest ones,
where a fixed cost hides least. Nothing should be above 1: what is, is named.
Writes growth.json and growth.png.
"""

import argparse
import dataclasses
import json
import pathlib
import statistics
import sys
import tempfile
import time

from measuring.epochs import keras_side
from measuring.intervals import growth_exponent
from measuring.intervals import last_exponent
from measuring.machine import describe_machine
from measuring.memory import PeakMemory
from measuring.workload import Workload

_STEPS = 4
_EPOCHS = 3
_INPUT_BATCHES = 10
# What two noisy medians may be above 1 by chance.
_NOISE = 0.12
# A cost that is a small share of a run is not worth a warning.
_NEGLIGIBLE_SECONDS = 1e-3


@dataclasses.dataclass(frozen=True)
class Axis:
    """One thing that grows, everything else held.

    Attributes:
        words: What it is.
        points: By size: the workload.
    """

    words: str
    points: dict[int, Workload]


def axes(model: str) -> dict[str, Axis]:
    """The axes by name.

    Args:
        model: Network of the axes other than depth.
    """

    def workload(**changes):
        values = {"networks": 2, "model": model, "batch_size": 128} | changes
        images = {"train_images": _STEPS * values["batch_size"]}
        return Workload(**images | values)

    return {
        "networks": Axis(
            "networks N",
            {n: workload(networks=n) for n in (1, 2, 4, 8, 16)},
        ),
        "depth": Axis(
            "blocks in a stage of a ResNet",
            {
                n: workload(model=f"resnet{6 * n + 2}", batch_size=64)
                for n in (1, 2, 3, 5, 9, 18)
            },
        ),
        "batch": Axis(
            "images in a batch",
            {n: workload(batch_size=n) for n in (32, 64, 128, 256, 512)},
        ),
        "data": Axis(
            "training images",
            {
                n: workload(train_images=n, validation_images=n // 4)
                for n in (1024, 2048, 4096, 8192, 16384)
            },
        ),
    }


def measure_point(workload: Workload, folder: pathlib.Path) -> dict[str, float]:
    """What a point costs, by name, in seconds or MiB.

    Processor seconds of all threads: other work on the machine hardly disturbs
    them.
    """
    with keras_side("trainer", workload, folder) as side:
        with PeakMemory([side.pid]) as memory:
            side.receive()
            built = side.ask(do="start")["cpu_build_seconds"]
            first = side.ask(do="epoch")
            epochs = [side.ask(do="epoch") for _ in range(_EPOCHS)]
        drawn = side.ask(do="input", batches=_INPUT_BATCHES)["cpu_seconds"]
        monitors = side.ask(do="monitors")

    def middle(part):
        return statistics.median(epoch[part] for epoch in epochs)

    return {
        "build, s": built,
        "first step, s": first["cpu_first_step"],
        "epoch, s": middle("cpu_seconds"),
        "step, s": middle("cpu_train") / workload.steps,
        "graft, s": middle("cpu_open"),
        "validation, s": middle("cpu_validate"),
        "checkpoint, s": middle("cpu_close"),
        "input of a step, s": drawn,
        "invalid filters, s": monitors["cpu_invalid_filters"],
        "divergence, s": monitors["cpu_divergence"],
        "checkpoint, MiB": middle("checkpoint_mib"),
        "peak memory, MiB": memory.mib,
    }


def fit_growth(
    sizes: list[int], costs: dict[str, list[float]]
) -> dict[str, dict]:
    """Exponents of each cost, and whether it outgrows the size.

    Args:
        sizes: Rising.
        costs: By name: one value a size.
    """
    fitted = {}
    for name, values in costs.items():
        overall = growth_exponent(sizes, values)
        last = last_exponent(sizes, values)
        small = name.endswith(" s") and values[-1] < _NEGLIGIBLE_SECONDS
        fitted[name] = {
            "exponent": overall,
            "last_exponent": last,
            "faster_than_linear": max(overall, last) > 1 + _NOISE and not small,
        }
    return fitted


def main() -> int:
    options = parse_options()
    folder = pathlib.Path(options.folder)
    folder.mkdir(parents=True, exist_ok=True)
    known = axes(options.model)
    unknown = set(options.axes) - set(known)
    if unknown:
        print(f"--axes: {', '.join(known)}; not {', '.join(unknown)}")
        return 1
    chosen = {name: known[name] for name in options.axes}
    result = {"model": options.model, "machine": describe_machine()}
    result["axes"] = {
        name: measure_axis(name, axis, options.repeats)
        for name, axis in chosen.items()
    }
    path = folder / "growth.json"
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    draw(result, folder / "growth.png")
    print("\n".join(table(result)))
    return 0


def measure_axis(name: str, axis: Axis, repeats: int) -> dict:
    """Medians of every point over interleaved repeats, and the fits."""
    found: dict[int, list] = {size: [] for size in axis.points}
    with tempfile.TemporaryDirectory() as temporary:
        for repeat in range(repeats):
            for size, workload in axis.points.items():
                began = time.monotonic()
                place = pathlib.Path(temporary) / f"{size}_{repeat}"
                found[size].append(measure_point(workload, place))
                print(
                    f"{name} {size}, repeat {repeat + 1} of {repeats}: "
                    f"{time.monotonic() - began:.0f} s",
                    flush=True,
                )
    sizes = list(axis.points)
    costs = {
        cost: [
            statistics.median(point[cost] for point in found[size])
            for size in sizes
        ]
        for cost in found[sizes[0]][0]
    }
    return {
        "words": axis.words,
        "sizes": sizes,
        "costs": costs,
        "growth": fit_growth(sizes, costs),
    }


def table(result: dict) -> list[str]:
    """Every cost with its exponents, in Markdown."""
    lines = [
        "| with | cost | smallest | largest | exponent | last | |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for axis in result["axes"].values():
        for cost, values in axis["costs"].items():
            growth = axis["growth"][cost]
            verdict = "faster than linear" * growth["faster_than_linear"]
            lines.append(
                f"| {axis['words']} | {cost} | {values[0]:.4g} | "
                f"{values[-1]:.4g} | {growth['exponent']:.2f} | "
                f"{growth['last_exponent']:.2f} | {verdict} |"
            )
    return lines


def draw(result: dict, path: pathlib.Path) -> None:
    """A panel for each axis: costs over that of the smallest size."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(
        len(result["axes"]),
        figsize=(9, 4.5 * len(result["axes"])),
        squeeze=False,
    )
    for panel, axis in zip(panels.flat, result["axes"].values()):
        sizes = axis["sizes"]
        panel.set_prop_cycle(color=pyplot.colormaps["tab20"].colors)
        for cost, values in axis["costs"].items():
            growth = axis["growth"][cost]
            panel.loglog(
                sizes,
                [value / values[0] for value in values],
                marker="o",
                linewidth=3 if growth["faster_than_linear"] else 1.2,
                label=f"{cost.partition(',')[0]} {growth['exponent']:.2f}"
                + (" (MiB)" if cost.endswith("MiB") else ""),
            )
        panel.loglog(
            sizes,
            [size / sizes[0] for size in sizes],
            color="black",
            linestyle="--",
            label="linear 1.00",
        )
        panel.set_xlabel(axis["words"])
        panel.set_ylabel("cost over that of the smallest size")
        panel.set_xticks(sizes, [str(size) for size in sizes])
        panel.minorticks_off()
        panel.legend(
            fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5)
        )
    figure.tight_layout()
    figure.savefig(path, dpi=80)
    pyplot.close(figure)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--axes",
        type=lambda text: text.split(","),
        default=["networks", "depth", "batch", "data"],
    )
    parser.add_argument("--model", default="resnet8")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", default="runs/growth")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
