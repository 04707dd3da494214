"""Invalid filters by epoch, without and with grafting.

    python benchmarks/invalid_filters.py [--flagfile=paper/reason_small.flags] \
        [--width=0.25] [--networks=2] [--seeds=0] \
        [--workdir=runs/invalid_filters] [-- --data_dir=DIR]

For each seed the same networks are trained twice, apart and grafted; finished
runs are not run again. Each has a folder in the work directory: history.csv
(network_k_invalid_filters), coefficients.csv, network_k.keras, results.json.
From them it writes invalid_filters.json, .md and .png beside the folders.

It also says how many filters are invalid at the same positions in all networks
of a run, and what a network's test accuracy is with the kernels of its invalid
filters set to zero.

The launch command has no flag for the width of a network, so this trains by
itself, with the settings that the flags give. What follows `--` is flags of
the launch command.
"""

import argparse
import gc
import json
import pathlib
import sys
import time

import numpy as np
from absl import flags as absl_flags
from measuring.invalid_filters_report import KINDS
from measuring.invalid_filters_report import THRESHOLDS
from measuring.invalid_filters_report import draw
from measuring.invalid_filters_report import markdown

from keras_graft import flags
from keras_graft.diagnosis.filter_norms import is_valid
from keras_graft.runs.results import read_history
from keras_graft.runs.run_directory import RunDirectory
from keras_graft.runs.strategy import import_tensorflow_quietly
from keras_graft.runs.whole_files import save_network
from keras_graft.runs.whole_files import write_atomically


def main() -> int:
    arguments = parse_arguments()
    import_tensorflow_quietly()
    workdir = pathlib.Path(arguments.workdir)
    records = []
    for seed in arguments.seeds:
        for kind in KINDS:
            directory = RunDirectory(workdir / f"{kind}_seed{seed}")
            settings = settings_of(arguments, kind, seed, directory)
            if not directory.results.exists():
                train(settings, arguments.width, directory)
            records.append(read(settings, kind, directory))
    write_atomically(
        workdir / "invalid_filters.json",
        json.dumps({"arguments": vars(arguments), "runs": records}, indent=2)
        + "\n",
    )
    table = markdown(records)
    write_atomically(workdir / "invalid_filters.md", table)
    draw(records, workdir / "invalid_filters.png")
    print(table)
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.partition("\n")[0],
        epilog="What follows -- is flags of the launch command.",
    )
    parser.add_argument("--flagfile", default="paper/reason_small.flags")
    parser.add_argument("--width", type=float, default=0.25)
    parser.add_argument("--networks", type=int, default=2)
    parser.add_argument(
        "--seeds",
        type=lambda text: [int(seed) for seed in text.split(",")],
        default=[0],
    )
    parser.add_argument("--workdir", default="runs/invalid_filters")
    parser.add_argument("flags", nargs="*")
    return parser.parse_args()


def settings_of(
    arguments: argparse.Namespace, kind: str, seed: int, directory: RunDirectory
) -> flags.Settings:
    """The launch command's settings of a run."""
    flag_values = absl_flags.FlagValues()
    flags.define(flag_values)
    return flags.parse(
        [
            "launch",
            f"--flagfile={arguments.flagfile}",
            *arguments.flags,
            KINDS[kind][1],
            "--mutual_weight=0",
            f"--num_networks={arguments.networks}",
            f"--seed={seed}",
            f"--workdir={directory.path}",
        ],
        flag_values,
    )


def train(
    settings: flags.Settings, width: float, directory: RunDirectory
) -> None:
    """Trains the networks of one run and fills its folder."""
    import keras

    from keras_graft import InvalidFilterMonitor
    from keras_graft.runs.batches import TrainingData
    from keras_graft.runs.batches import evaluation_data
    from keras_graft.runs.batches import load_splits
    from keras_graft.runs.batches import monitored_split
    from keras_graft.runs.callbacks import make_graft_callback
    from keras_graft.runs.progress import Progress
    from keras_graft.runs.run_logs import CoefficientLogger
    from keras_graft.runs.run_logs import HistoryLogger

    keras.utils.clear_session()
    gc.collect()
    print(f"{directory.path.name}:", flush=True)
    directory.path.mkdir(parents=True, exist_ok=True)
    splits = load_splits(settings)
    trainer = make_trainer(settings, splits, width)
    monitor = InvalidFilterMonitor(settings.invalid_threshold)
    data = TrainingData(settings, splits)
    callbacks = [
        monitor,
        HistoryLogger(directory.history),
        Progress(settings.epochs, data.steps_per_epoch),
    ]
    graft = make_graft_callback(settings)
    if graft is not None:
        callbacks += [graft, CoefficientLogger(graft, directory.coefficients)]
    started = time.monotonic()
    trainer.fit(
        data,
        epochs=settings.epochs,
        validation_data=evaluation_data(
            settings, splits, monitored_split(splits)
        ),
        callbacks=callbacks,
        verbose=0,
    )
    seconds = time.monotonic() - started
    logs = trainer.evaluate(
        evaluation_data(settings, splits, splits.test),
        verbose=0,
        return_dict=True,
    )
    files = directory.networks(trainer.num_networks)
    for network, file in zip(trainer.networks, files, strict=True):
        save_network(network, file)
    found = {
        "flags": flags.flags_text(settings).splitlines(),
        "width": width,
        "seconds": round(seconds),
        "networks": [
            {
                "test_accuracy": logs[f"network_{k}_accuracy"],
                "total_filters": total,
            }
            for k, total in enumerate(monitor.total_filters)
        ],
    }
    # Last: a run with this file is finished.
    write_atomically(directory.results, json.dumps(found, indent=2) + "\n")


def make_trainer(settings: flags.Settings, splits, width: float):
    """The trainer of the launch command, with networks of another width."""
    from keras_graft import GraftTrainer
    from keras_graft import models
    from keras_graft.optimizers.coupled_sgd import CoupledSGD
    from keras_graft.runs import optimizers
    from keras_graft.runs import recipe
    from keras_graft.runs.batches import steps_per_epoch
    from keras_graft.runs.networks import network_seed

    networks = [
        models.build(
            settings.model,
            splits.num_classes,
            input_shape=splits.train.images.shape[1:],
            width=width,
            seed=network_seed(settings.seed, k),
            pixel_mean=splits.pixel_mean,
            pixel_std=splits.pixel_std,
        )
        for k in range(settings.num_networks)
    ]
    trainer = GraftTrainer(networks, distillation=None)
    steps = steps_per_epoch(settings, splits)
    trainer.compile(
        optimizer=[
            CoupledSGD(
                optimizers.schedule(
                    rate, settings.schedule, settings.epochs, steps
                ),
                momentum=settings.momentum,
                weight_decay=settings.weight_decay,
            )
            for rate in optimizers.learning_rates(settings)
        ],
        loss=recipe.loss(),
        metrics=["accuracy"],
    )
    return trainer


def read(settings: flags.Settings, kind: str, directory: RunDirectory) -> dict:
    """The numbers of one finished run: for each network a list or a number."""
    import keras

    from keras_graft import diagnose
    from keras_graft.diagnosis.kernels import kernels_to_read
    from keras_graft.diagnosis.kernels import norms_of_filters

    history = read_history(directory.history)
    results = json.loads(directory.results.read_text("utf-8"))
    numbers = range(settings.num_networks)
    networks = [
        keras.models.load_model(file, compile=False)
        for file in directory.networks(settings.num_networks)
    ]
    totals = [diagnose(network, THRESHOLDS).totals for network in networks]
    invalid = [
        np.concatenate(
            [
                ~is_valid(norms_of_filters(kernel), settings.invalid_threshold)
                for kernel in kernels_to_read(network)[0]
            ]
        )
        for network in networks
    ]
    return {
        "kind": kind,
        "seed": settings.seed,
        "threshold": settings.invalid_threshold,
        "filters": totals[0].filters,
        "by_epoch": [history[f"network_{k}_invalid_filters"] for k in numbers],
        "by_threshold": [
            [total.invalid[threshold] for threshold in THRESHOLDS]
            for total in totals
        ],
        "invalid_in_all": int(np.all(invalid, axis=0).sum()),
        "test_accuracy": [
            network["test_accuracy"] for network in results["networks"]
        ],
        "test_accuracy_without_invalid": [
            accuracy_without_invalid(settings, network) for network in networks
        ],
        "seconds": results["seconds"],
    }


def accuracy_without_invalid(settings: flags.Settings, network) -> float:
    """Test accuracy with the kernels of invalid filters set to zero."""
    from keras_graft.diagnosis.kernels import kernels_to_read
    from keras_graft.diagnosis.kernels import norms_of_filters
    from keras_graft.diagnosis.kernels import read
    from keras_graft.runs import recipe
    from keras_graft.runs.batches import evaluation_data
    from keras_graft.runs.batches import load_splits

    for kernel in kernels_to_read(network)[0]:
        valid = is_valid(norms_of_filters(kernel), settings.invalid_threshold)
        weights = read(kernel).copy()
        # A view: a row for each filter, whatever axes number them.
        front = range(len(kernel.filter_axes))
        rows = np.moveaxis(weights, kernel.filter_axes, tuple(front))
        rows[~valid.reshape(rows.shape[: len(front)])] = 0
        kernel.variable.assign(weights)
    network.compile(loss=recipe.loss(), metrics=["accuracy"])
    splits = load_splits(settings)
    logs = network.evaluate(
        evaluation_data(settings, splits, splits.test),
        verbose=0,
        return_dict=True,
    )
    return logs["accuracy"]


if __name__ == "__main__":
    sys.exit(main())
