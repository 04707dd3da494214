"""Where the time of a step goes: kernels, and gaps between them.

    python benchmarks/kernels.py [--of="trainer FLAGS"] [--of=fit] ...

Sides are described as for `steps.py`; each is started, warmed up, timed and
then looked at by TensorFlow's profiler, one after the other. Of a step:

    step, profiled  milliseconds without and with the profiler
    kernels         how many; on a CPU operations, on a GPU copies count too
    work            milliseconds of all of them together
    busy, gaps      while at least one ran, and while none did

and the kinds of kernel that took most. The JSON file is written anew after
each side.
"""

import argparse
import pathlib
import sys
import tempfile

from measuring import json_file
from measuring.machine import describe_machine
from measuring.side import SideError
from measuring.workload import Workload
from steps import add_sides
from steps import described_sides

_FIRST_STEPS = 5
_SHOWN = 8


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
    rows = []
    with tempfile.TemporaryDirectory() as name:
        for number, (text, of) in enumerate(options.of.items()):
            folder = pathlib.Path(name) / str(number)
            row = {"side": text, "steps_for_one": of.count(workload)}
            with of.start(workload, folder) as side:
                try:
                    row |= profile(side, options.steps)
                    print("\n".join(lines(row)), flush=True)
                except SideError as error:
                    # Nothing of the others is lost.
                    row["error"] = str(error)
                    print(f"--of={text!r}: {error}", file=sys.stderr)
            rows.append(row)
            json_file.write(options.json, about | {"sides": rows})
    return int(any("error" in row for row in rows))


def profile(side, steps: int) -> dict:
    """What one side does in a step; times are in seconds."""
    side.receive()
    side.ask(do="start")
    side.ask(do="steps", count=_FIRST_STEPS)
    seconds = side.ask(do="steps", count=steps)["seconds"]
    found = side.ask(do="profile", count=steps)
    return found | {
        "profiled_seconds": found["seconds"],
        "seconds": seconds,
    }


def lines(row: dict) -> list[str]:
    """What the terminal shows of a side."""
    ms = {
        name: f"{1e3 * row[f'{name}seconds']:.2f}"
        for name in ("", "profiled_", "work_", "busy_", "gap_")
    }
    text = [
        f"{row['side']}, on {row['device']}, of one step in ms: {ms['']} "
        f"({ms['profiled_']} profiled), {row['kernels']:.0f} kernels, work "
        f"{ms['work_']}, busy {ms['busy_']}, gaps {ms['gap_']}"
    ]
    text += [
        f"  gaps of {length}: {gap['count']:.0f}, {1e3 * gap['seconds']:.2f}"
        for length, gap in row["gaps"].items()
    ]
    text += [
        f"  {1e3 * kind['seconds']:9.3f} {kind['count']:7.1f} x {kind['name']}"
        for kind in row["longest"][:_SHOWN]
    ]
    return text


def parse_options(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_sides(parser)
    parser.add_argument(
        "--steps", type=int, default=10, help="Steps that are profiled."
    )
    options = parser.parse_args(arguments)
    options.of = described_sides(parser, options.of)
    if any(of.kind == "pytorch" for of in options.of.values()):
        parser.error("TensorFlow's profiler does not look into PyTorch.")
    return options


if __name__ == "__main__":
    sys.exit(main())
