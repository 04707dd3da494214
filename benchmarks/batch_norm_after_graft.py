"""BatchNormalization after a graft: blended with its layer, or re-estimated.

    python benchmarks/batch_norm_after_graft.py --flagfile=cifar10.flags \
        [--seeds=0,1,2] [--images=2048] [--test_images=4000] \
        [--momentum=0.99] [--workdir=runs/batch_norm] \
        [-- --data_dir=DIR --train_examples=5000 --model=resnet8 --epochs=20]

For each seed the same run twice. Writes batch_norm.json and batch_norm.md
into the work directory: the accuracy on a share of the test images at the end
of an epoch, right after the graft that opens the next one, and after the last
epoch. What follows `--` is flags of the launch command. The images for the
re-estimation are training images, augmented as in training.

`--momentum` is the one of every BatchNormalization, in place of the model's
own: the blend's share in the statistics is its power by the steps since.
"""

import argparse
import functools
import gc
import hashlib
import json
import pathlib
import sys
from collections.abc import Callable
from collections.abc import Iterable
from typing import Any

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
    parser.add_argument("--test_images", type=int, default=4000)
    parser.add_argument("--momentum", type=float)
    parser.add_argument("--workdir", default="runs/batch_norm")
    parser.add_argument("flags", nargs="*")
    return parser.parse_args()


def measure(arguments: argparse.Namespace, kind: str, seed: int) -> dict:
    """Trains once and follows the networks' accuracy around the grafts."""
    import keras
    import tensorflow as tf

    from keras_graft.grafting import ReestimateBatchNorm
    from keras_graft.runs import recipe
    from keras_graft.runs.batches import TrainingData
    from keras_graft.runs.batches import load_splits
    from keras_graft.runs.callbacks import make_graft_callback
    from keras_graft.structure.conv_layers import leaf_layers

    keras.utils.clear_session()
    gc.collect()
    settings = settings_of(arguments, seed)
    splits = load_splits(settings)
    trainer = recipe.make_trainer(settings, splits)
    graft = make_graft_callback(settings)
    if graft is None:
        raise SystemExit("The flags say --nograft: there is nothing to see.")
    norms = [
        layer
        for network in trainer.networks
        for _, layer in leaf_layers(network)
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    if arguments.momentum is not None:
        for layer in norms:
            layer.momentum = arguments.momentum
    data = TrainingData(settings, splits)
    callbacks = [graft]
    if kind == "reestimate":
        seen = training_images(data.from_epoch(0), arguments.images)
        size = settings.batch_size
        callbacks.append(ReestimateBatchNorm(graft, seen, size))

    images, labels = spread(splits.test, arguments.test_images)
    # Layer by layer, evaluation took longer than training.
    predictors = [
        tf.function(
            functools.partial(network, training=False),
            input_signature=[
                tf.TensorSpec((None, *images.shape[1:]), images.dtype)
            ],
        )
        for network in trainer.networks
    ]

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
            return [accuracy(p, images, labels) for p in predictors]

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
        "momenta": sorted({layer.momentum for layer in norms}),
        "steps_per_epoch": data.steps_per_epoch,
        "grafts_at": due,
        "after_graft": accuracies.after,
        "end_of_epoch": accuracies.before,
        "trained_weights": digest(
            v for n in trainer.networks for v in n.trainable_variables
        ),
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


def spread(split: Any, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels, evenly spread over a split.

    The first ones would be of a few classes where the split is sorted.
    """
    size = len(split.images)
    count = min(count, size)
    places = np.arange(count) * size // count
    return split.images[places], split.labels[places]


def accuracy(
    predict: Callable, images: np.ndarray, labels: np.ndarray, size: int = 256
) -> float:
    """Share of the images that a network gets right."""
    right = 0
    for start in range(0, len(images), size):
        part = slice(start, start + size)
        logits = np.asarray(predict(images[part]))
        right += int(np.sum(logits.argmax(axis=1) == labels[part]))
    return right / len(images)


def digest(variables: Iterable) -> str:
    """The same text for the same values, bit by bit."""
    found = hashlib.sha256()
    for variable in variables:
        found.update(np.asarray(variable).tobytes())
    return found.hexdigest()


def markdown(runs: list[dict]) -> str:
    """A row for each kind, and one for each seed's difference."""
    by_kind = {
        kind: [run for run in runs if run["kind"] == kind] for kind in KINDS
    }
    found = {
        kind: np.array([means(run) for run in of_kind])
        for kind, of_kind in by_kind.items()
    }
    lines = [
        "| statistics | before a graft | after a graft | last epoch |",
        "| --- | --- | --- | --- |",
    ]
    for kind in KINDS:
        cells = [f"{value:.4f}" for value in found[kind].mean(axis=0)]
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    pairs = list(zip(*by_kind.values(), strict=True))
    gains = found[KINDS[1]] - found[KINDS[0]]
    for (one, _), gain in zip(pairs, gains, strict=True):
        cells = [f"{value:+.4f}" for value in gain]
        lines.append(f"| gain, seed {one['seed']} | {' | '.join(cells)} |")
    same = sum(a["trained_weights"] == b["trained_weights"] for a, b in pairs)
    first = runs[0]
    momenta = ", ".join(f"{momentum:g}" for momentum in first["momenta"])
    lines += [
        "",
        "Test accuracy, mean over networks, grafts and seeds. Gain: of "
        f"{KINDS[1]} over {KINDS[0]}. Momentum {momenta}, "
        f"{first['steps_per_epoch']} steps an epoch. Trained weights were the "
        f"same, bit by bit, in both runs of {same} of {len(pairs)} seeds.",
    ]
    return "\n".join(lines) + "\n"


def means(run: dict) -> tuple[float, float, float]:
    """Mean accuracy before a graft, after it, and after the last epoch."""
    ends = run["end_of_epoch"]
    return (
        np.mean([ends[epoch - 1] for epoch in run["grafts_at"]]),
        np.mean(run["after_graft"]),
        np.mean(ends[-1]),
    )


if __name__ == "__main__":
    sys.exit(main())
