"""Runs every recipe of the paper, small: a proof that it runs, no result.

    python benchmarks/paper_arms.py [--workdir=DIR] [--arms=slr,kd]

Each arm is a process of its own, on digits with resnet8 for two epochs. The
arms with teachers learn from the network that the arm `baseline` ships.
Finished arms are not run again.
"""

import argparse
import pathlib
import subprocess
import sys
import time

from keras_graft.flags import flagfiles

# A graft opens the second epoch.
SMALL = ("--dataset=digits", "--model=resnet8", "--epochs=2")
TAUGHT = ("kd", "grafting_plus")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--workdir", default="runs/paper_arms")
    parser.add_argument(
        "--arms", default="", help="Names, joined by commas. Default: all."
    )
    arguments = parser.parse_args()
    workdir = pathlib.Path(arguments.workdir)
    arms = list(filter(None, arguments.arms.split(","))) or paper_arms()
    if set(arms) & set(TAUGHT):
        arms = ["baseline", *(arm for arm in arms if arm != "baseline")]
    failed = []
    for arm in arms:
        started = time.monotonic()
        done = subprocess.run(
            command(arm, workdir), capture_output=True, text=True
        )
        seconds = time.monotonic() - started
        print(f"{arm:<15} {done.returncode}  {seconds:.0f} s", flush=True)
        if done.returncode:
            failed.append(arm)
            print(done.stderr[-2000:], flush=True)
    print(f"Failed: {', '.join(failed) or 'none'}")
    return 1 if failed else 0


def paper_arms() -> list[str]:
    """The names of the recipes in `paper/`, without the base.

    Nor `reason_small`, which is no arm: `reason` with more images than digits
    has.
    """
    folder, ending = "paper/", ".flags"
    names = [
        recipe.removeprefix(folder).removesuffix(ending)
        for recipe in flagfiles.recipes()
        if recipe.startswith(folder)
    ]
    return [name for name in names if name not in ("base", "reason_small")]


def command(arm: str, workdir: pathlib.Path) -> list[str]:
    """The command line of one arm."""
    line = [
        *(sys.executable, "-m", "keras_graft.launch"),
        *(f"--flagfile=paper/{arm}.flags", *SMALL),
        f"--workdir={workdir / arm}",
    ]
    if arm in TAUGHT:
        line.append(f"--teachers={workdir / 'baseline' / 'shipped.keras'}")
    return line


if __name__ == "__main__":
    sys.exit(main())
