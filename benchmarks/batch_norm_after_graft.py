"""BatchNormalization after a graft: blended with its layer, or re-estimated.

    python benchmarks/batch_norm_after_graft.py --flagfile=cifar10.flags \
        [--seeds=0,1,2] [--images=2048] [--workdir=runs/batch_norm] \
        [-- --data_dir=DIR --train_examples=5000 --model=resnet8 --epochs=20]

For each seed the same run twice. Writes batch_norm.json and batch_norm.md
into the work directory: the accuracy on the test images at the end of an
epoch, right after the graft that opens the next one, and after the last
epoch. What follows `--` is flags of the launch command. The images for the
re-estimation are training images, augmented as in training.
"""

import argparse
import gc
import json
import pathlib
import statistics
import sys

import numpy as np
from absl import flags as absl_flags

from keras_graft import flags
from keras_graft.runs.strategy import import_tensorflow_quietly

KINDS = ("graft", "reestimate")


def main() -> int:
    arguments = parse_arguments()
    import_tensorflow_quietly()
    runs = [
        measure(arguments, kind, seed)
        for seed in arguments.seeds
        for kind in KINDS
    ]
    workdir = pathlib.Path(arguments.workdir)
    workdir.mkdir(parents=True, exist_ok=True)
    (workdir / "batch_norm.json").write_text(
        json.dumps({"arguments": vars(arguments), "runs": runs}, indent=2)
        + "\n",
        encoding="utf-8",
    )
    table = markdown(runs)
    (workdir / "batch_norm.md").write_text(table, encoding="utf-8")
    print(table)
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.partition("\n")[0],
        epilog="What follows -- goes to the launch command's flags.",
    )
    parser.add_argument("--flagfile", default="digits.flags")
    parser.add_argument(
        "--seeds",
        type=lambda text: [int(seed) for seed in text.split(",")],
        default=[0],
    )
    parser.add_argument("--images", type=int, default=2048)
    parser.add_argument("--workdir", default="runs/batch_norm")
    parser.add_argument("flags", nargs="*")
    return parser.parse_args()


def measure(arguments: argparse.Namespace, kind: str, seed: int) -> dict:
    """Trains once and follows the networks' accuracy around the grafts."""
    import keras

    from keras_graft.grafting import ReestimateBatchNorm
    from keras_graft.runs import recipe

    keras.utils.clear_session()
    gc.collect()
    settings = settings_of(arguments, seed)
    splits = recipe.load_splits(settings)
    trainer = recipe.make_trainer(settings, splits)
    graft = recipe.make_graft_callback(settings)
    if graft is None:
        raise SystemExit("The flags say --nograft: there is nothing to see.")
    data = recipe.TrainingData(settings, splits)
    callbacks = [graft]
    if kind == "reestimate":
        images = training_images(data.from_epoch(0), arguments.images)
        size = settings.batch_size
        callbacks.append(ReestimateBatchNorm(graft, images, size))

    class Accuracies(keras.callbacks.Callback):
        """The networks' test accuracy on both sides of each graft."""

        def __init__(self):
            super().__init__()
            self.before, self.after = [], []

        def on_epoch_begin(self, epoch, logs=None):
            if epoch and graft.is_due(epoch):
                self.after.append(self.now())

        def on_epoch_end(self, epoch, logs=None):
            self.before.append(self.now())

        def now(self):
            return [accuracy(n, splits.test) for n in self.model.networks]

    accuracies = Accuracies()
    trainer.fit(
        data,
        epochs=settings.epochs,
        callbacks=[*callbacks, accuracies],
        verbose=0,
    )
    # Nothing comes before a graft at epoch 0.
    due = [epoch for epoch in range(1, settings.epochs) if graft.is_due(epoch)]
    return {
        "kind": kind,
        "seed": seed,
        "flags": flags.flags_text(settings).splitlines(),
        "grafts_at": due,
        "after_graft": accuracies.after,
        "end_of_epoch": accuracies.before,
    }


def settings_of(arguments: argparse.Namespace, seed: int) -> flags.Settings:
    """The launch command's settings of a run."""
    flag_values = absl_flags.FlagValues()
    flags.define(flag_values)
    return flags.parse(
        [
            "launch",
            f"--flagfile={arguments.flagfile}",
            *arguments.flags,
            f"--seed={seed}",
            f"--workdir={arguments.workdir}",
        ],
        flag_values,
    )


def training_images(batches, count: int) -> np.ndarray:
    """Augmented training images, as network_0 sees them."""
    found, number = [], 0
    for x, *_ in batches:
        images = x["network_0"] if isinstance(x, dict) else x
        found.append(np.asarray(images))
        number += len(images)
        if number >= count:
            break
    return np.concatenate(found)[:count]


def accuracy(network, split, batch_size: int = 256) -> float:
    """Share of a split's images that a network gets right."""
    right = 0
    for start in range(0, len(split.images), batch_size):
        part = slice(start, start + batch_size)
        logits = np.asarray(network(split.images[part], training=False))
        right += int(np.sum(logits.argmax(axis=1) == split.labels[part]))
    return right / len(split.images)


def markdown(runs: list[dict]) -> str:
    """A row for each kind, means over networks, grafts and seeds."""
    lines = [
        "| statistics | before a graft | after a graft | last epoch |",
        "| --- | --- | --- | --- |",
    ]
    for kind in KINDS:
        of_kind = [run for run in runs if run["kind"] == kind]
        before = [
            [run["end_of_epoch"][epoch - 1] for epoch in run["grafts_at"]]
            for run in of_kind
        ]
        after = [run["after_graft"] for run in of_kind]
        last = [run["end_of_epoch"][-1] for run in of_kind]
        lines.append(
            f"| {kind} | {np.mean(before):.4f} | {np.mean(after):.4f} | "
            f"{np.mean(last):.4f}{_spread(last)} |"
        )
    lines += [
        "",
        "Test accuracy, mean over networks, grafts and seeds; of the last "
        "epoch with the standard deviation over seeds, where there are "
        "several.",
    ]
    return "\n".join(lines) + "\n"


def _spread(last):
    means = [statistics.mean(run) for run in last]
    return f" +- {statistics.stdev(means):.4f}" if len(means) > 1 else ""


if __name__ == "__main__":
    sys.exit(main())
