"""Which of several is faster, by single steps in turns.

    python benchmarks/steps.py [--of="trainer FLAGS"] [--of=fit] ...

Each side is described by a text, [NAME=VALUE ...] KIND [FLAG ...] [@FOLDER]:
`trainer`, with flags of `keras_graft.launch`; `resident`, the same with its
images on the device; `fit`, a plain Keras fit of one network, or `pytorch`, a
bare loop of one, of which as many steps are taken as there are networks
(`measuring/described.py` has the flags of each). After an @ stands the folder
of another version of the project, whose own benchmarks take the steps. Turns
are so short that what else runs on the machine hits all sides alike: 60 turns
tell differences of one percent, where `throughput.py` with its epochs tells
ten. Validation, checkpoints and grafts between epochs are not in it; gentle
grafts are. Sides start one after the other, each with its first step. Linux
only. The JSON file is written anew after each of them and after each turn.
"""

import argparse
import contextlib
import dataclasses
import pathlib
import sys
import tempfile
import time

from measuring import json_file
from measuring.described import Described
from measuring.described import described
from measuring.intervals import estimate
from measuring.intervals import ratios
from measuring.machine import describe_machine
from measuring.memory import peak_rss_mib
from measuring.side import SideError
from measuring.turns import Deadline
from measuring.turns import interleave
from measuring.workload import Workload

# Until caches and clocks are what they stay.
_FIRST_TURNS = 3


def main() -> int:
    options = parse_options()
    workload = Workload(
        options.networks,
        options.model,
        options.batch_size,
        options.train_images,
        precision=options.precision,
        image_size=options.image_size,
    )
    about = workload.config() | {"machine": describe_machine()}
    rows = {text: {"side": text} for text in options.of}

    def save():
        json_file.write(options.json, about | {"sides": list(rows.values())})

    with (
        tempfile.TemporaryDirectory() as name,
        contextlib.ExitStack() as stack,
    ):
        sides, turns = {}, {}
        for number, (text, of) in enumerate(options.of.items()):
            folder = pathlib.Path(name) / str(number)
            side = stack.enter_context(of.start(workload, folder))
            try:
                rows[text] |= first_step(side, of)
            except SideError as error:
                # Nothing of the others is lost.
                rows[text]["error"] = str(error)
                print(f"--of={text!r}: {error}", file=sys.stderr)
            else:
                sides[text] = side
                steps = options.steps * of.count(workload)
                turns[text] = lambda s=side, r=of.steps(steps): s.ask(**r)
            save()
        if not sides:
            return 1

        def keep(found):
            peaks = {text: peak_rss_mib(s.pid) for text, s in sides.items()}
            for row in summary(found, peaks, workload, options.of):
                rows[row["side"]] |= row
            save()

        interleave(turns, _FIRST_TURNS, Deadline(float("inf")), lambda _: None)
        interleave(
            turns,
            options.turns,
            Deadline(60 * options.minutes),
            lambda _: None,
            keep,
        )
    print("\n".join(lines([row for t, row in rows.items() if t in sides])))
    return int(len(sides) < len(rows))


def first_step(side, of: Described) -> dict[str, float]:
    """Seconds from building the networks to the end of the first step."""
    side.receive()
    begin = time.perf_counter()
    side.ask(do="start")
    side.ask(**of.steps(1))
    return {"first_step_seconds": time.perf_counter() - begin}


def summary(
    found: dict[str, list[dict]],
    peaks: dict[str, float],
    workload: Workload,
    sides: dict[str, Described],
) -> list[dict]:
    """What is printed and written of the turns, a dict for each side.

    Args:
        found: By side: what it answered in each turn.
        peaks: By side: MiB.
        workload: What the sides trained.
        sides: By text.
    """
    first = next(iter(found))
    rows = []
    for text, answers in found.items():
        steps = sides[text].count(workload)
        row = {"side": text, "peak_rss_mib": peaks[text]}
        for key in ("seconds", "cpu_seconds"):
            own = [steps * answer[key] for answer in answers]
            base = [
                sides[first].count(workload) * answer[key]
                for answer in found[first]
            ]
            row[f"{key}_over_first"] = dataclasses.asdict(
                estimate(ratios(own, base))
            )
            row[key] = own
        images = workload.networks * workload.batch_size
        row["images_per_second"] = images / estimate(row["seconds"]).median
        rows.append(row)
    return rows


def lines(rows: list[dict]) -> list[str]:
    """A table for the terminal."""
    turns = len(rows[0]["seconds"])
    text = [
        f"{turns} turns; times over those of the first, median",
        "    over           interval  CPU time  images/s   MiB  first step",
    ]
    for row in rows:
        wall, cpu = row["seconds_over_first"], row["cpu_seconds_over_first"]
        interval = f"{wall['low']:.3f} to {wall['high']:.3f}"
        text.append(
            f"{wall['median']:8.3f}{interval:>19}{cpu['median']:10.3f}"
            f"{row['images_per_second']:10.0f}{row['peak_rss_mib']:6.0f}"
            f"{row['first_step_seconds']:10.1f} s  {row['side']}"
        )
    return text


def parse_options(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_sides(parser)
    parser.add_argument("--turns", type=int, default=60)
    parser.add_argument(
        "--steps",
        type=int,
        default=1,
        help="Steps of a turn; with gentle grafts a multiple of "
        "--graft_every_steps, so that each turn has its share of moves.",
    )
    parser.add_argument(
        "--minutes",
        type=float,
        default=10.0,
        help="No turn begins that would not end in this time.",
    )
    options = parser.parse_args(arguments)
    options.of = described_sides(parser, options.of)
    return options


def add_sides(parser: argparse.ArgumentParser) -> None:
    """Adds the options that say which sides train what."""
    parser.add_argument("--networks", type=int, default=4)
    parser.add_argument("--model", default="resnet20")
    parser.add_argument("--batch_size", type=int, default=128)
    parser.add_argument("--train_images", type=int, default=2560)
    parser.add_argument(
        "--image_size", type=int, default=32, help="A multiple of 4."
    )
    parser.add_argument(
        "--precision",
        choices=("float32", "bfloat16"),
        default="float32",
        help="What every side computes in.",
    )
    parser.add_argument(
        "--of",
        action="append",
        help="A side; the first one is what the others are held against. "
        "Default: trainer and fit.",
    )
    parser.add_argument("--json", help="File to write.")


def described_sides(
    parser: argparse.ArgumentParser, texts: list[str] | None
) -> dict[str, Described]:
    """The sides by their texts; ends the program at one that is none."""
    texts = texts or ["trainer", "fit"]
    if len(set(texts)) < len(texts):
        parser.error("Each --of once; a folder by another path is another.")
    try:
        return {text: described(text) for text in texts}
    except ValueError as error:
        parser.error(f"--of {error}")


if __name__ == "__main__":
    sys.exit(main())
