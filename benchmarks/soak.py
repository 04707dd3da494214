"""Kills a run at random instants, over and over, and compares its end.

    python benchmarks/soak.py [--kills=30] [--seed=0] [--replicas=1]
        [--epochs=90] [--folder=DIR]

Trains the digits recipe once without interruption, then the same command
again and again, each life ended by SIGKILL at a random instant, until there
were enough kills: `--kills` in all, two thirds of them after the first
checkpoint and a tenth inside a save or a graft (at most twice `--kills`). The
last life is left to finish. Both ends must have the same bits. Takes some ten
minutes on two cores.
"""

import argparse
import collections
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
FLAGS = (
    "--train_examples=160",
    "--num_networks=2",
    "--batch_size=32",
    "--augment=standard",
    "--validation_fraction=0.2",
)
# Seconds of training, at most, before a kill.
LIFE = 3.0
START = "start"
INSIDE = ("graft", "save")


def child(phase_file, arguments):
    """The command itself, which notes what it is doing."""
    sys.path.insert(0, str(ROOT))
    from absl import app

    from keras_graft import flags
    from keras_graft import launch
    from keras_graft.checkpoint import files
    from keras_graft.grafting import GraftCallback
    from keras_graft.runs import run
    from keras_graft.trainer import GraftTrainer

    phases = [START]

    def note(phase):
        with open(phase_file, "w") as file:
            file.write(phase)

    def noted(owner, name, phase):
        original = getattr(owner, name)

        def wrapped(*arguments, **named):
            phases.append(phase)
            note(phase)
            try:
                return original(*arguments, **named)
            finally:
                phases.pop()
                note(phases[-1])

        setattr(owner, name, wrapped)

    note(START)
    noted(GraftTrainer, "fit", "train")
    noted(GraftTrainer, "evaluate", "validate")
    noted(GraftCallback, "graft", "graft")
    noted(files, "write_checkpoint", "save")
    noted(run, "_finish", "finish")
    flags.define()
    sys.argv = ["launch", *arguments]
    app.run(launch.main, flags_parser=flags.parse_or_exit)


def start(folder, phase_file, log, more):
    phase_file.write_text(START)
    return subprocess.Popen(
        [
            sys.executable,
            __file__,
            f"--child={phase_file}",
            *FLAGS,
            *more,
            f"--workdir={folder}",
        ],
        stdout=log,
        stderr=log,
    )


def finish(folder, phase_file, log, more):
    code = start(folder, phase_file, log, more).wait(timeout=3600)
    if code:
        raise SystemExit(f"The run ended with {code}; see {log.name}")


def kill_once(folder, phase_file, log, rng, more):
    """One life; returns the phase that it was killed in, or None."""
    process = start(folder, phase_file, log, more)
    # One kill in five may hit before training, the others after an epoch.
    if rng.random() < 0.2:
        time.sleep(rng.uniform(0, 4 * LIFE))
    else:
        # Each life comes an epoch further, on a busy machine too.
        while phase_file.read_text() not in ("save", "finish"):
            if process.poll() is not None:
                return None
            time.sleep(0.01)
        time.sleep(rng.uniform(0, LIFE))
    process.send_signal(signal.SIGKILL)
    if process.wait() != -signal.SIGKILL:
        return None
    return phase_file.read_text() or "between phases"


def differences(whole, killed):
    """What is not the same in two run directories."""
    from keras_graft.checkpoint import files

    found = []
    for name in ("history.csv", "coefficients.csv"):
        if (whole / name).read_bytes() != (killed / name).read_bytes():
            found.append(name)
    left, right = (
        json.loads((folder / "results.json").read_text())
        for folder in (whole, killed)
    )
    found += [k for k in left if left[k] != right[k] and k != "seconds"]
    left, right = (
        files.newest_checkpoint(folder / "checkpoints", found.append)
        for folder in (whole, killed)
    )
    if left.epoch != right.epoch or left.arrays.keys() != right.arrays.keys():
        return [*found, "checkpoints of different runs"]
    found += [
        name
        for name in left.arrays
        if left.arrays[name].tobytes() != right.arrays[name].tobytes()
    ]
    names = {path.name for path in killed.iterdir()}
    found += [
        f"left behind: {name}"
        for name in names ^ {path.name for path in whole.iterdir()}
    ]
    kept = sorted(path.name for path in (killed / "checkpoints").iterdir())
    if len(kept) != 2:
        found.append(f"checkpoints: {kept}")
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--replicas", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=90)
    parser.add_argument("--folder", type=pathlib.Path)
    options = parser.parse_args()
    folder = options.folder or pathlib.Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(options.seed)
    more = [f"--epochs={options.epochs}"]
    if options.replicas > 1:
        more.append(f"--replicas={options.replicas}")
    phase_file = folder / "phase"
    whole, killed = folder / "whole", folder / "killed"
    phases, after_checkpoint = collections.Counter(), 0
    with open(folder / "log.txt", "w") as log:
        finish(whole, phase_file, log, more)
        for _ in range(2 * options.kills):
            phase = kill_once(killed, phase_file, log, rng, more)
            if phase is None:
                print("The run came to its end before it was killed.")
                break
            kept = killed / "checkpoints"
            has = kept.is_dir() and any(
                path.name.startswith("epoch-") for path in kept.iterdir()
            )
            after_checkpoint += has
            phases[phase] += 1
            total = sum(phases.values())
            newest = max((p.name for p in kept.glob("epoch-*")), default="none")
            print(f"kill {total}: {phase}, newest {newest}", flush=True)
            if (
                total >= options.kills
                and after_checkpoint >= options.kills * 2 // 3
                and sum(phases[name] for name in INSIDE) >= options.kills // 10
            ):
                break
        finish(killed, phase_file, log, more)
    print(f"{sum(phases.values())} kills: {dict(phases)}")
    print(f"{after_checkpoint} after the first checkpoint")
    found = differences(whole, killed)
    print("Bit-identical, nothing left behind." if not found else found)
    return bool(found)


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1].startswith("--child="):
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
        child(sys.argv[1].removeprefix("--child="), sys.argv[2:])
    else:
        sys.path.insert(0, str(ROOT))
        sys.exit(main())
