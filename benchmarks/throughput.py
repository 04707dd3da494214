"""Speed of N networks in one trainer, against what a user would do instead.

    python benchmarks/throughput.py --networks=4 --model=resnet20 --json=FILE

Everything is measured side by side in one run: every round has a turn of each
side, in processes of their own that are idle meanwhile. The ratios are what
counts; benchmarks/README.md explains the keys. Flags of `keras_graft.launch`
for the trainer follow after `--`.
"""

import argparse
import importlib.util
import os
import pathlib
import sys
import tempfile
import time

from measuring import json_file
from measuring.epochs import measure_epochs
from measuring.graft_runs import measure_graft_runs
from measuring.machine import describe_machine
from measuring.starts import measure_starts
from measuring.summary import epoch_samples
from measuring.summary import estimates
from measuring.summary import graft_samples
from measuring.summary import start_samples
from measuring.targets import lines
from measuring.turns import Deadline
from measuring.workload import Workload

# Of the time that is given: the rest is for whole epochs.
_SHARE_OF_GRAFTS = 0.1
_SHARE_OF_STARTS = 0.3


def main() -> int:
    options = parse_options()
    with_pytorch = options.pytorch
    if with_pytorch and importlib.util.find_spec("torch") is None:
        print(
            "PyTorch is missing: pip install -e '.[bench]', or --no-pytorch.",
            file=sys.stderr,
        )
        return 1
    workload = Workload(
        options.networks,
        options.model,
        options.batch_size,
        options.train_images,
        options.validation_images,
        options.precision,
        tuple(options.flags),
        options.image_size,
    )
    load = os.getloadavg()[0]
    if load > 0.5:
        print(f"The machine is not idle: load average {load:.1f}", flush=True)
    result = measure(workload, options, with_pytorch)
    print("\n".join(lines(result)), flush=True)
    return 0


def measure(
    workload: Workload, options: argparse.Namespace, with_pytorch: bool
) -> dict:
    """Measures all stages; returns what the JSON file holds.

    It is written anew after each stage and each round of epochs.
    """
    result = {
        "networks": workload.networks,
        "model": workload.model,
        "batch_size": workload.batch_size,
        "train_images": workload.train_images,
        "validation_images": workload.validation_images,
        "image_size": workload.image_size,
        "precision": workload.precision,
        "flags": list(workload.flags),
        "as_shipped_parts": options.as_shipped_parts,
        "compiled_pytorch": options.compile,
        "machine": describe_machine(),
    }
    began = time.monotonic()
    limit = 60 * options.minutes
    samples = {}

    def save():
        result["minutes"] = (time.monotonic() - began) / 60
        json_file.write(options.json, result | estimates(samples))

    def keep(epochs):
        samples.update(epoch_samples(epochs, workload))
        result["first_epoch"] = epochs.first
        result["pytorch_modes"] = epochs.modes
        result["idle_fraction"] = epochs.idle_fraction
        result["rounds"] = epochs.rounds
        save()

    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        if "grafts" in options.stages:
            say(f"Grafts of a run, {workload.networks} x resnet110")
            runs = measure_graft_runs(
                workload.networks,
                folder,
                options.rounds,
                Deadline(_SHARE_OF_GRAFTS * limit),
                say,
                flags=workload.flags,
                with_pytorch=with_pytorch,
            )
            samples |= graft_samples(runs)
            save()
        if "starts" in options.stages:
            say("Cold starts")
            starts = measure_starts(
                workload,
                folder,
                options.rounds,
                Deadline(_SHARE_OF_STARTS * limit),
                say,
                with_pytorch=with_pytorch,
            )
            samples |= start_samples(starts, workload)
            save()
        if "epochs" in options.stages:
            say(f"Epochs, {workload.networks} x {workload.model}")
            measure_epochs(
                workload,
                folder,
                options.rounds,
                Deadline(limit - (time.monotonic() - began)),
                say,
                with_pytorch=with_pytorch,
                as_shipped_parts=options.as_shipped_parts,
                compiled=options.compile,
                keep=keep,
            )
    return result | estimates(samples)


def say(line: str) -> None:
    """Prints at once, for whoever watches."""
    print(line, flush=True)


def parse_options(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.partition("\n")[0],
        epilog="Flags of keras_graft.launch for the trainer follow after --.",
    )
    parser.add_argument("--networks", type=int, default=4)
    parser.add_argument("--model", default="resnet20")
    parser.add_argument("--batch_size", type=int, default=128)
    parser.add_argument("--train_images", type=int, default=2560)
    parser.add_argument("--validation_images", type=int, default=640)
    parser.add_argument(
        "--image_size", type=int, default=32, help="A multiple of 4."
    )
    parser.add_argument(
        "--precision",
        choices=("float32", "bfloat16"),
        default="float32",
        help="What every side computes in; weights are float32. For the "
        "trainer alone: -- --precision=bfloat16.",
    )
    parser.add_argument(
        "--rounds",
        type=int,
        default=5,
        help="Most rounds of each stage; 5 are the least for 90 %%.",
    )
    parser.add_argument(
        "--minutes",
        type=float,
        default=60.0,
        help="No round begins that would not end in this time.",
    )
    parser.add_argument(
        "--as_shipped_parts",
        type=int,
        default=4,
        help="The rival as shipped trains one of so many parts of an epoch; "
        "the rest is extrapolated.",
    )
    parser.add_argument(
        "--stages",
        type=lambda text: text.split(","),
        default=["grafts", "starts", "epochs"],
        help="Joined by commas: grafts, starts, epochs.",
    )
    parser.add_argument(
        "--pytorch", action=argparse.BooleanOptionalAction, default=True
    )
    parser.add_argument(
        "--compile",
        action="store_true",
        help="PyTorch compiles its networks for epochs, channels last.",
    )
    parser.add_argument("--json", help="File to write.")
    parser.add_argument("flags", nargs="*", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
