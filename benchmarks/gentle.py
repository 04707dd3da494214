"""What gentle grafts cost: steps with and without them, by turns in one run.

    python benchmarks/gentle.py [--networks=4] [--model=resnet8] \
        [--batch_size=64] [--every_steps=10] [--turns=40] [--json=FILE]

A turn is as many steps as lie between two moves, so that each holds one move.
The sides: no graft, a pull to the mean, a pull to the peer, an exchange.
Linux only.
"""

import argparse
import contextlib
import dataclasses
import pathlib
import sys
import tempfile

from measuring import json_file
from measuring.epochs import keras_side
from measuring.intervals import estimate
from measuring.intervals import ratios
from measuring.turns import Deadline
from measuring.turns import interleave
from measuring.workload import Workload

_FIRST_TURNS = 2
# From the first epoch on, which is the one that is measured in.
_GENTLE = ("--graft", "--graft_start=0")


def main() -> int:
    options = parse_options()
    workload = Workload(
        options.networks,
        options.model,
        options.batch_size,
        precision=options.precision,
    )
    with (
        tempfile.TemporaryDirectory() as name,
        contextlib.ExitStack() as stack,
    ):
        sides = {}
        for side, flags in sides_of(options.every_steps).items():
            own = dataclasses.replace(workload, flags=flags)
            folder = pathlib.Path(name) / side
            sides[side] = stack.enter_context(
                keras_side("trainer", own, folder)
            )
        for side in sides.values():
            side.receive()
            side.ask(do="start")
        turns = {
            text: lambda side=side: side.ask(
                do="steps", count=options.every_steps
            )
            for text, side in sides.items()
        }
        interleave(turns, _FIRST_TURNS, Deadline(float("inf")), lambda _: None)
        found = interleave(
            turns,
            options.turns,
            Deadline(60 * options.minutes),
            lambda _: None,
        )
    rows = summary(found)
    print("\n".join(lines(rows)))
    json_file.write(options.json, rows)
    return 0


def sides_of(every_steps: int) -> dict[str, tuple[str, ...]]:
    """The flags of each side."""
    steps = f"--graft_every_steps={every_steps}"
    return {
        "none": ("--nograft",),
        "mean": (
            *_GENTLE,
            "--graft_half_life=2",
            "--graft_target=mean",
            steps,
        ),
        "peer": (*_GENTLE, "--graft_half_life=2", steps),
        "exchange": (*_GENTLE, "--graft_source=exchange", steps),
    }


def summary(found: dict[str, list[dict]]) -> list[dict]:
    """For each side its seconds of a step, and over those without a graft.

    Args:
        found: By side: what it answered in each turn.
    """
    rows = []
    for side, answers in found.items():
        row: dict = {"side": side}
        for key in ("seconds", "cpu_seconds"):
            own = [answer[key] for answer in answers]
            base = [answer[key] for answer in found["none"]]
            row[key] = own
            row[f"{key}_over_none"] = dataclasses.asdict(
                estimate(ratios(own, base))
            )
        rows.append(row)
    return rows


def lines(rows: list[dict]) -> list[str]:
    """A table for the terminal."""
    turns = len(rows[0]["seconds"])
    text = [f"{turns} turns; a step over one without a graft, median"]
    for row in rows:
        step = estimate(row["seconds"])
        line = f"{row['side']:<10}{1000 * step.median:9.2f} ms"
        for key, name in (("seconds", "time"), ("cpu_seconds", "CPU time")):
            ratio = row[f"{key}_over_none"]
            line += (
                f"   {name} {ratio['median']:.4f} "
                f"[{ratio['low']:.4f}, {ratio['high']:.4f}]"
            )
        text.append(line)
    return text


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--networks", type=int, default=4)
    parser.add_argument("--model", default="resnet8")
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument("--every_steps", type=int, default=10)
    parser.add_argument(
        "--precision", choices=("float32", "bfloat16"), default="float32"
    )
    parser.add_argument("--turns", type=int, default=40)
    parser.add_argument(
        "--minutes",
        type=float,
        default=10.0,
        help="No turn begins that would not end in this time.",
    )
    parser.add_argument("--json", help="File to write.")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
