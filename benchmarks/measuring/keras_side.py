"""Sides on Keras: the trainer with N networks, or one plain fit.

Started by `Side("keras_side", config)`. Config: `kind` (`"trainer"`,
`"resident"`, `"fit"` or `"grafts"`), `workload` and `folder`. `"resident"` is
a trainer whose steps find their images on the device, see `keras_tools`.
Answers once when everything is imported; then, every time of `start`, `epoch`,
`input` and `monitors` with processor seconds of all threads beside it (`cpu_`),

| request | answer |
| --- | --- |
| `start` | `build_seconds`: networks, optimizers and what `fit` prepares |
| `epoch` | seconds of the next epoch, see `Gate` |
| `gemm`, `steps` | pairs: FLOP/s of a step, of a matrix product after it |
| `steps`, `count` | `seconds` of one of so many steps on the epochs' data |
| `profile`, `count` | where the time of so many goes, see `step_profile` |
| `input`, `batches` | `seconds` to draw a batch with the machine idle |
| `monitors` | seconds of an epoch's end, by name of the monitor |
| `grafts`, `count` | kind `"grafts"`: seconds of a run's grafts |
"""

import functools
import logging
import pathlib
import sys
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from absl import flags as absl_flags

import keras_graft
from keras_graft import data
from keras_graft import flags
from keras_graft import models
from keras_graft.runs import recipe
from keras_graft.runs import strategy as devices
from keras_graft.runs.batches import TrainingData
from keras_graft.runs.batches import evaluation_data
from keras_graft.runs.callbacks import make_graft_callback
from keras_graft.runs.threads import share_out_threads
from keras_graft.structure.flops import inference_flops
from keras_graft.structure.flops import training_flops
from measuring.gate import Gate
from measuring.gate import clocks
from measuring.keras_tools import gemm_tool
from measuring.keras_tools import input_tool
from measuring.keras_tools import monitor_tool
from measuring.keras_tools import resident_batches
from measuring.keras_tools import run_batches
from measuring.keras_tools import steps_tools
from measuring.side import Channel
from measuring.workload import EVALUATION_BATCH
from measuring.workload import NUM_CLASSES
from measuring.workload import Workload
from measuring.workload import synthetic_images

# Epochs of a `fit` that ends when it is told to.
_ENDLESS = 1_000_000


def launch_settings(workload: Workload, folder: str) -> Any:
    """The flags of a run with this workload, as `launch` has them."""
    absl_values = absl_flags.FlagValues()
    flags.define(absl_values)
    return flags.parse(
        [
            "benchmark",
            f"--model={workload.model}",
            f"--num_networks={workload.networks}",
            f"--batch_size={workload.batch_size}",
            f"--precision={workload.precision}",
            f"--epochs={_ENDLESS}",
            "--augment=standard",
            "--schedule=constant",
            "--learning_rate=0.05",
            f"--workdir={folder}",
            *workload.flags,
        ],
        absl_values,
    )


def synthetic_splits(workload: Workload) -> data.Splits:
    """Splits in memory; the test split is the validation split."""
    train, validation = (
        data.Split(*synthetic_images(count, seed, workload.image_size))
        for seed, count in enumerate(
            (workload.train_images, workload.validation_images)
        )
    )
    return data.Splits(
        name="synthetic",
        train=train,
        validation=validation,
        test=validation,
        num_classes=NUM_CLASSES,
        pixel_mean=(120.0, 120.0, 120.0),
        pixel_std=(60.0, 60.0, 60.0),
    )


def make_trainer(
    workload: Workload, settings: Any, splits: data.Splits
) -> keras_graft.GraftTrainer:
    """The trainer that `launch` makes, in its strategy's scope."""
    share_out_threads(settings)
    strategy = devices.make_strategy(settings.strategy, settings.replicas)
    devices.set_precision(settings.precision)
    with devices.scope_of(strategy):
        return recipe.make_trainer(settings, splits)


def serve_trainer(
    channel: Channel,
    workload: Workload,
    folder: str,
    draw: Callable = run_batches,
) -> None:
    """N networks: distillation, graft and checkpoint as flags say.

    Args:
        channel: Where requests come from.
        workload: What is trained.
        folder: For checkpoints.
        draw: Function of trainer, `TrainingData`, splits and settings that
            returns the batches of the requests `steps` and `profile`.
    """
    started = clocks()
    settings = launch_settings(workload, folder)
    splits = synthetic_splits(workload)
    trainer = make_trainer(workload, settings, splits)
    graft = make_graft_callback(settings)
    checkpoints = pathlib.Path(folder) / "checkpoints"
    train = TrainingData(settings, splits)
    flops = settings.steps_per_execution * training_flops(
        inference_flops(trainer.networks[0]),
        workload.batch_size,
        workload.networks,
    )

    def about():
        newest = max(checkpoints.glob("epoch-*"))
        size = sum(file.stat().st_size for file in newest.iterdir())
        return {"checkpoint_mib": size / 2**20}

    gate = Gate(
        channel,
        started,
        about,
        {
            "gemm": gemm_tool(trainer, train, flops),
            "input": input_tool(train),
            **steps_tools(
                trainer, lambda: draw(trainer, train, splits, settings), graft
            ),
            "monitors": monitor_tool(trainer, splits.validation.images),
        },
    )
    callbacks = [gate, keras_graft.RunCheckpoint(checkpoints)]
    if graft is not None:
        callbacks.append(graft)
    trainer.fit(
        train,
        epochs=_ENDLESS,
        validation_data=evaluation_data(settings, splits, splits.validation),
        callbacks=callbacks,
        verbose=0,
    )


def serve_fit(channel: Channel, workload: Workload, folder: str) -> None:
    """One network in a plain `fit`, with Keras' own checkpoint.

    Of the flags it has those that `described` allows it.
    """
    started = clocks()
    settings = launch_settings(workload, folder)
    splits = synthetic_splits(workload)
    devices.set_precision(settings.precision)
    network = models.build(
        workload.model,
        NUM_CLASSES,
        input_shape=splits.train.images.shape[1:],
        pixel_mean=splits.pixel_mean,
        pixel_std=splits.pixel_std,
    )
    network.compile(
        optimizer=keras.optimizers.SGD(0.05, momentum=0.9, weight_decay=5e-4),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        steps_per_execution=settings.steps_per_execution,
        jit_compile="auto" if settings.jit is None else settings.jit,
    )
    saved = pathlib.Path(folder) / "network.keras"

    def about():
        return {"checkpoint_mib": saved.stat().st_size / 2**20}

    train = data.training_batches(
        splits.train,
        batch_size=workload.batch_size,
        seed=0,
        augment="standard",
    )
    network.fit(
        train,
        epochs=_ENDLESS,
        steps_per_epoch=workload.steps,
        validation_data=data.evaluation_batches(
            splits.validation, EVALUATION_BATCH
        ),
        callbacks=[
            Gate(
                channel,
                started,
                about,
                steps_tools(network, lambda: iter(train)),
            ),
            keras.callbacks.ModelCheckpoint(saved),
        ],
        verbose=0,
    )


def serve_grafts(channel: Channel, workload: Workload, folder: str) -> None:
    """Grafts of a run, of networks that are not trained meanwhile."""
    started = time.perf_counter()
    settings = launch_settings(workload, folder)
    trainer = make_trainer(workload, settings, synthetic_splits(workload))
    channel.send(build_seconds=time.perf_counter() - started)
    while True:
        count = channel.receive()["count"]
        began = time.perf_counter()
        graft = make_graft_callback(settings)
        graft.set_model(trainer)
        graft.on_train_begin()
        seconds = []
        for epoch in range(1, count + 1):
            mark = time.perf_counter()
            graft.graft(epoch)
            seconds.append(time.perf_counter() - mark)
        # A graft that is still under way on a GPU is not over.
        np.asarray(trainer.networks[0].trainable_variables[0])
        channel.send(seconds=time.perf_counter() - began, each=seconds)


_KINDS = {
    "trainer": serve_trainer,
    "resident": functools.partial(serve_trainer, draw=resident_batches),
    "fit": serve_fit,
    "grafts": serve_grafts,
}


def main() -> int:
    logging.getLogger("keras_graft").setLevel(logging.ERROR)
    channel = Channel()
    config = channel.receive()
    config["workload"]["flags"] = tuple(config["workload"]["flags"])
    workload = Workload(**config["workload"])
    channel.send(ready=True)
    channel.receive()
    _KINDS[config["kind"]](channel, workload, config["folder"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
