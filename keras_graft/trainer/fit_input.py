"""What `fit` was given, as Keras' own `fit` is to be given it."""

import dataclasses
import types
from typing import Any

import keras
import tensorflow as tf

from keras_graft.data.epoch_dataset import EpochDataset
from keras_graft.trainer.inputs import check_batches_split
from keras_graft.trainer.inputs import check_epoch_ends
from keras_graft.trainer.inputs import check_not_empty
from keras_graft.trainer.inputs import check_validation
from keras_graft.trainer.inputs import first_example
from keras_graft.trainer.loaders import as_drawn_once
from keras_graft.trainer.scoring import Scoring
from keras_graft.trainer.watchers import CountedGenerator
from keras_graft.trainer.watchers import DroppedExamples
from keras_graft.trainer.watchers import StopAtDataEnd


@dataclasses.dataclass(frozen=True)
class FitInput:
    """Training data, and what is known of it before the first step.

    Attributes:
        x: As for `keras.Model.fit`.
        steps_per_epoch: Likewise.
        example: `(x, y, sample_weight)` of one example, each None where it
            is absent or unknown.
        watchers: Callbacks that watch how the data ends.
        follows_epochs: Whether the data says what each epoch holds.
        comes_in_order: Whether it cannot be shuffled.
    """

    x: Any
    steps_per_epoch: int | None
    example: tuple
    watchers: list[keras.callbacks.Callback]
    follows_epochs: bool
    comes_in_order: bool


def fit_input(
    x: Any,
    y: Any,
    sample_weight: Any,
    *,
    batch_size: int | None,
    steps_per_epoch: int | None,
    validation_split: float,
    validation_data: Any,
    validation_steps: int | None,
    initial_epoch: int,
    num_replicas: int,
    scoring: Scoring,
) -> FitInput:
    """Looks at training data, and refuses what cannot be trained on.

    Args:
        x: As for `keras.Model.fit`, or an `EpochDataset`.
        y: As for `keras.Model.fit`.
        sample_weight: Likewise.
        batch_size: Likewise.
        steps_per_epoch: Likewise.
        validation_split: Likewise.
        validation_data: Likewise.
        validation_steps: Likewise.
        initial_epoch: Epoch to begin with.
        num_replicas: Number of replicas in sync.
        scoring: What counts the examples that are left out.

    Raises:
        ValueError: If there is no data to train or validate on, no end of
            it, or no batch that splits evenly over the replicas.
    """
    follows_epochs = isinstance(x, EpochDataset)
    if follows_epochs:
        steps_per_epoch = steps_per_epoch or x.steps_per_epoch
        x = _from_epoch(x, initial_epoch, steps_per_epoch)
    if y is None and sample_weight is None:
        x = as_drawn_once(x)
    check_not_empty(x)
    check_epoch_ends(x, steps_per_epoch)
    check_validation(validation_data, validation_steps)
    check_batches_split(
        x, batch_size, steps_per_epoch, validation_split, num_replicas
    )
    comes_in_order = isinstance(
        x,
        tf.data.Dataset
        | tf.distribute.DistributedDataset
        | types.GeneratorType,
    )
    watchers: list[keras.callbacks.Callback] = []
    if isinstance(x, types.GeneratorType):
        counted = CountedGenerator(x)
        example, x = counted.example, counted.batches()
        watchers.append(StopAtDataEnd(counted))
    else:
        example = first_example(x, y, sample_weight)
    if num_replicas > 1:
        watchers.append(DroppedExamples(scoring, num_replicas))
    return FitInput(
        x, steps_per_epoch, example, watchers, follows_epochs, comes_in_order
    )


def _from_epoch(data, epoch, steps_per_epoch):
    """The batches that an uninterrupted run has from an epoch on."""
    whole, more = divmod(epoch * steps_per_epoch, data.steps_per_epoch)
    batches = data.from_epoch(whole)
    return batches.skip(more) if more else batches
