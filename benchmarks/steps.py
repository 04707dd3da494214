"""Which of several is faster, by single steps in turns.

    python benchmarks/steps.py [--of="trainer FLAGS"] [--of=fit] ...

Each side is `trainer`, with flags of `keras_graft.launch` and, after an @, the
folder of another version of the project, whose own benchmarks take the steps;
or `fit`, a plain Keras fit of one network, of which as many steps are taken as
there are networks. Turns are so short that what else runs on the machine hits
all sides alike: 60 turns tell differences of one percent, where
`throughput.py` with its epochs tells ten. Validation, checkpoints and grafts
between epochs are not in it; gentle grafts are. Linux only.
"""

import argparse
import contextlib
import dataclasses
import pathlib
import shlex
import sys
import tempfile

from measuring import json_file
from measuring.epochs import keras_side
from measuring.intervals import estimate
from measuring.intervals import ratios
from measuring.memory import peak_rss_mib
from measuring.turns import Deadline
from measuring.turns import interleave
from measuring.workload import Workload

_KINDS = ("trainer", "fit")
# Until caches and clocks are what they stay.
_FIRST_TURNS = 3


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
        for number, text in enumerate(options.of):
            side = start(text, workload, pathlib.Path(name) / str(number))
            sides[text] = stack.enter_context(side)
        for side in sides.values():
            side.receive()
            side.ask(do="start")
        turns = {
            text: lambda side=side, steps=count(text, workload): side.ask(
                do="steps", count=options.steps * steps
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
        peaks = {text: peak_rss_mib(s.pid) for text, s in sides.items()}
    rows = summary(found, peaks, workload)
    print("\n".join(lines(rows)))
    json_file.write(options.json, rows)
    return 0


def start(text: str, workload: Workload, folder: pathlib.Path):
    """Starts the side that a text describes."""
    kind, *words = shlex.split(text)
    flags = tuple(word for word in words if not word.startswith("@"))
    roots = [pathlib.Path(w[1:]).resolve() for w in words if w[0] == "@"]
    return keras_side(
        kind,
        dataclasses.replace(workload, flags=flags),
        folder,
        roots[-1] if roots else None,
    )


def count(text: str, workload: Workload) -> int:
    """Steps taken for one: as many images in all on every side."""
    return workload.networks if shlex.split(text)[0] == "fit" else 1


def summary(
    found: dict[str, list[dict]], peaks: dict[str, float], workload: Workload
) -> list[dict]:
    """What is printed and written, a dict for each side.

    Args:
        found: By side: what it answered in each turn.
        peaks: By side: MiB.
        workload: What the sides trained.
    """
    first = next(iter(found))
    rows = []
    for text, answers in found.items():
        steps = count(text, workload)
        row = {"side": text, "peak_rss_mib": peaks[text]}
        for key in ("seconds", "cpu_seconds"):
            own = [steps * answer[key] for answer in answers]
            base = [
                count(first, workload) * answer[key] for answer in found[first]
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
    head = f"{turns} turns; times over those of the first, median"
    text = [f"{head:48}{'interval':>18}{'CPU time':>10}{'images/s':>10}   MiB"]
    for row in rows:
        wall, cpu = row["seconds_over_first"], row["cpu_seconds_over_first"]
        interval = f"{wall['low']:.3f} to {wall['high']:.3f}"
        text.append(
            f"{row['side'][:40]:40}{wall['median']:8.3f}{interval:>18}"
            f"{cpu['median']:10.3f}{row['images_per_second']:10.0f}"
            f"{row['peak_rss_mib']:6.0f}"
        )
    return text


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--networks", type=int, default=4)
    parser.add_argument("--model", default="resnet20")
    parser.add_argument("--batch_size", type=int, default=128)
    parser.add_argument(
        "--precision",
        choices=("float32", "bfloat16"),
        default="float32",
        help="What every side computes in.",
    )
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
    parser.add_argument(
        "--of",
        action="append",
        help="A side; the first one is what the others are held against. "
        "Default: trainer and fit.",
    )
    parser.add_argument("--json", help="File to write.")
    options = parser.parse_args()
    options.of = options.of or list(_KINDS)
    for text in options.of:
        kind, *words = shlex.split(text) or [""]
        if kind not in _KINDS:
            parser.error(f"--of begins with trainer or fit, not {text!r}.")
        for word in words:
            folder = pathlib.Path(word[1:], "benchmarks", "measuring")
            if word[0] == "@" and not folder.is_dir():
                parser.error(
                    f"@ names a whole version of the project, and {folder} "
                    f"is no folder: --of={text!r}."
                )
        if kind == "fit" and any(word[0] != "@" for word in words):
            parser.error(f"A plain fit takes no flags: --of={text!r}.")
    if len(set(options.of)) < len(options.of):
        parser.error("Each --of once; a folder by another path is another.")
    return options


if __name__ == "__main__":
    sys.exit(main())
