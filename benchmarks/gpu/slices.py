"""What is measured on a GPU, in slices of at most eight minutes.

    python benchmarks/gpu/slices.py                 # lists them
    python benchmarks/gpu/slices.py NAME ...        # runs them
    python benchmarks/gpu/slices.py --small NAME    # tries them on a CPU

A slice is one command of this project with a time limit. What it measures is
in `--folder` as NAME.json, written anew as it goes, and what it prints in
NAME.txt; both stay when it is stopped. `--precision=bfloat16` is for steps
and epochs, whose files are then called NAME_bfloat16. Exit code 124: one was
stopped; 1: one failed. `README.md` says how to prepare the machine.
"""

import argparse
import importlib.util
import os
import pathlib
import shlex
import signal
import subprocess
import sys
import time

from table import Slice
from table import slices

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIMIT_SECONDS = 480
# Between SIGTERM and SIGKILL.
_GRACE_SECONDS = 10
STOPPED = 124


def command(
    of: Slice,
    path: pathlib.Path,
    small: bool = False,
    precision: str = "float32",
) -> list[str]:
    """The words of a slice's command line.

    Args:
        of: The slice.
        path: Where its JSON goes.
        small: Whether it is only tried.
        precision: What every side of steps and epochs computes in.
    """
    words = [*of.command, *(of.small if small else of.full)]
    if small:
        # Compiling takes PyTorch minutes on a CPU.
        words = [w.replace(" --compile", "") for w in words]
        words = [word for word in words if word != "--compile"]
    if of.has_precision:
        words.append(f"--precision={precision}")
    words.append(f"{of.json}{path}")
    if importlib.util.find_spec("torch") is None:
        words = [w for w in words if not w.startswith("--of=pytorch")]
        if "benchmarks/throughput.py" in words:
            words.append("--no-pytorch")
    return [sys.executable, *words]


def run(
    name: str,
    words: list[str],
    folder: pathlib.Path,
    variables: dict[str, str],
    limit_seconds: float = LIMIT_SECONDS,
) -> int:
    """Runs a command line; returns its exit code, or 124 if it was stopped.

    Args:
        name: Of its files.
        words: The command line.
        folder: For what it prints; made here.
        variables: Of its environment.
        limit_seconds: When it is stopped.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = os.pathsep.join([str(ROOT), str(ROOT / "benchmarks")])
    print(f"{name}: {shlex.join(words)}", flush=True)
    began = time.monotonic()
    with open(folder / f"{name}.txt", "wb") as log:
        process = subprocess.Popen(
            words,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": path, **variables},
            # Its sides end with it.
            start_new_session=True,
        )
        try:
            code = process.wait(limit_seconds)
        except subprocess.TimeoutExpired:
            code = STOPPED
        finally:
            _end(process)
    print((folder / f"{name}.txt").read_text(errors="replace"), end="")
    how = "stopped" if code == STOPPED else f"exit code {code}"
    print(f"{name}: {how} after {time.monotonic() - began:.0f} s", flush=True)
    return code


def _end(process):
    """Ends a slice and all that it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            return
        try:
            process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            pass


def main() -> int:
    options = parse_options()
    known = slices()
    if not options.names:
        for name, of in known.items():
            print(f"{name:30} {of.words}")
        return 0
    if importlib.util.find_spec("torch") is None:
        print("PyTorch is not installed: its sides are left out.")
    # Whoever ends this ends the slice, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    codes = []
    for name in options.names:
        of = known[name]
        if of.has_precision and options.precision != "float32":
            name = f"{name}_{options.precision}"
        path = options.folder.resolve() / f"{name}.json"
        words = command(of, path, options.small, options.precision)
        codes.append(
            run(name, words, options.folder, of.variables, options.limit)
        )
    return STOPPED if STOPPED in codes else int(any(codes))


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    # Not `choices`: with none of them argparse would refuse.
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument(
        "--precision", choices=("float32", "bfloat16"), default="float32"
    )
    parser.add_argument("--small", action="store_true", help="For a CPU.")
    parser.add_argument(
        "--folder", type=pathlib.Path, default=pathlib.Path("runs/gpu")
    )
    parser.add_argument(
        "--limit",
        type=float,
        default=LIMIT_SECONDS,
        help="Seconds after which a slice is stopped.",
    )
    options = parser.parse_args()
    unknown = set(options.names) - set(slices())
    if unknown:
        parser.error(
            f"No slice is called {', '.join(sorted(unknown))}; without a name "
            "they are listed."
        )
    return options


if __name__ == "__main__":
    sys.exit(main())
