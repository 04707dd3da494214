"""From settings to the images of a run, and their batches."""

import os
import pathlib
from typing import Any

import keras
import tensorflow as tf

from keras_graft import data
from keras_graft.data.distinct import Habits
from keras_graft.data.distinct import habits_of
from keras_graft.data.distinct import mixes_labels
from keras_graft.data.epoch_dataset import EpochDataset
from keras_graft.data.names import IMAGE_SOURCES
from keras_graft.data.names import MIXING
from keras_graft.data.names import source_of


def load_splits(settings: Any) -> data.Splits:
    """Reads the images of a run."""
    reading = {}
    if source_of(settings.dataset) in IMAGE_SOURCES:
        reading = {
            "image_size": settings.image_size,
            "bad_images": settings.bad_images,
            "cache": settings.cache,
            "cache_dir": _nearest_folder(settings.workdir),
            **resizing(settings),
        }
    return data.load(
        settings.dataset,
        data_dir=settings.data_dir,
        train_examples=settings.train_examples,
        validation_fraction=settings.validation_fraction,
        seed=settings.seed,
        **reading,
    )


def resizing(settings: Any) -> dict[str, Any]:
    """How the images of files become squares.

    Returns:
        `{"resize": ..., "whole": ...}`, as of `folder.reading.read_images`;
        both None where images are arrays, which nobody resizes.
    """
    if settings.dataset.partition(":")[0] not in IMAGE_SOURCES:
        return {"resize": None, "whole": None}
    return {
        "resize": settings.resize,
        "whole": settings.augment == "resized_crop",
    }


def _nearest_folder(path):
    """The folder above or at a path that is there already."""
    return next(
        p for p in (path, *pathlib.Path(path).parents) if os.path.isdir(p)
    )


def steps_per_epoch(settings: Any, splits: data.Splits) -> int:
    """Number of whole batches in an epoch."""
    return data.steps_per_epoch(
        len(splits.train), settings.batch_size, settings.steps_per_epoch
    )


def habits(settings: Any) -> list[Habits]:
    """What makes each network's training its own."""
    return habits_of(
        settings.distinct,
        settings.num_networks,
        same_images=settings.mutual_weight > 0,
    )


def one_hot_labels(settings: Any) -> bool:
    """Whether labels are probabilities of classes, not their numbers."""
    return _mixes_labels(settings) or settings.label_smoothing > 0


def _mixes_labels(settings):
    return settings.augment in MIXING or mixes_labels(habits(settings))


def check_division(settings: Any, steps: int, devices: int) -> None:
    """Refuses batches and steps that do not come out even.

    Args:
        settings: The run's flags.
        steps: Steps in an epoch.
        devices: Devices that share a step.

    Raises:
        ValueError: If a batch cannot be split over the devices, or an epoch
            into executions.
    """
    if settings.batch_size % devices:
        raise ValueError(
            f"--batch_size={settings.batch_size} does not split evenly over "
            f"{devices} devices. Let it be a multiple of {devices}."
        )
    together = settings.steps_per_execution
    if together > 1 and devices > 1:
        raise ValueError(
            f"--steps_per_execution={together} works on one device, and "
            f"{devices} share a step: Keras repeats the step in a loop, in "
            "which TensorFlow cannot merge replicas. Leave it out."
        )
    if steps % together:
        # Keras would go on into the next epoch's data.
        divisors = [n for n in range(1, steps + 1) if steps % n == 0]
        raise ValueError(
            f"--steps_per_execution={together} does not divide the {steps} "
            "steps of an epoch. Give one of "
            f"{', '.join(map(str, divisors))}, or another --steps_per_epoch."
        )


class TrainingData(EpochDataset):
    """The batches to train on, from any epoch on.

    Args:
        settings: The run's flags.
        splits: Its images.
    """

    def __init__(self, settings: Any, splits: data.Splits):
        self._settings = settings
        self._splits = splits
        self.steps_per_epoch = steps_per_epoch(settings, splits)

    def from_epoch(self, epoch):
        settings = self._settings
        batches = data.training_batches(
            self._splits.train,
            batch_size=settings.batch_size,
            seed=settings.seed,
            augment=settings.augment,
            num_networks=settings.num_networks,
            batches=settings.batches,
            num_classes=self._splits.num_classes,
            initial_epoch=epoch,
            steps_per_epoch=settings.steps_per_epoch,
            habits=habits(settings),
            class_balance=settings.class_balance,
        )
        if one_hot_labels(settings) and not _mixes_labels(settings):
            batches = _one_hot(batches, self._splits.num_classes)
        return _shared_out(batches)


def monitored_split(splits: data.Splits) -> data.Split:
    """The split that the shipped network is chosen on."""
    return splits.test if splits.validation is None else splits.validation


def evaluation_data(settings: Any, splits: data.Splits, split: Any) -> Any:
    """Batches to evaluate on, with the labels that the loss takes."""
    batches = data.evaluation_batches(split, max(settings.batch_size, 256))
    if one_hot_labels(settings):
        batches = _one_hot(batches, splits.num_classes)
    return _shared_out(batches)


def _one_hot(batches, num_classes):
    """The same batches with probabilities of classes for labels."""

    def in_batch(x, y, *weights):
        y = keras.tree.map_structure(
            lambda labels: tf.one_hot(labels, num_classes), y
        )
        return x, y, *weights

    return batches.map(in_batch)


def _shared_out(batches):
    """Lets each of several workers take its part of every batch."""
    options = tf.data.Options()
    # TensorFlow would look for files to share out first.
    options.experimental_distribute.auto_shard_policy = (
        tf.data.experimental.AutoShardPolicy.DATA
    )
    return batches.with_options(options)
