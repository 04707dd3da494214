"""Callbacks of the trainer's own that watch how the data of a `fit` ends."""

import itertools
import logging
import types
from typing import Any

import keras

from keras_graft.trainer.inputs import first_of
from keras_graft.trainer.inputs import uneven_message

_LOG = logging.getLogger(__name__)


class DroppedExamples(keras.callbacks.Callback):
    """Says how many examples a step leaves out.

    A batch that does not split evenly over the replicas is not trained on:
    the mean over the replicas would not be the mean over the batch. Most
    often that is the incomplete last batch of an epoch.

    Args:
        scoring: What counts, in `trained` and `dropped`.
        replicas: Number of replicas in sync.

    Raises:
        ValueError: After the first batch, if nothing was trained on.
    """

    def __init__(self, scoring: Any, replicas: int):
        super().__init__()
        self._scoring = scoring
        self._replicas = replicas
        self._looked = False
        self._said = False

    def on_epoch_begin(self, epoch, logs=None):
        self._scoring.trained.reset_state()
        self._scoring.dropped.reset_state()

    def on_train_batch_end(self, batch, logs=None):
        # Once: a look waits for the devices.
        if not self._looked and not int(self._scoring.trained.result()):
            dropped = int(self._scoring.dropped.result())
            size = dropped // (batch + 1)
            raise ValueError(uneven_message(size, self._replicas))
        self._looked = True

    def on_epoch_end(self, epoch, logs=None):
        dropped = int(self._scoring.dropped.result())
        if dropped and not self._said:
            self._said = True
            trained = int(self._scoring.trained.result())
            _LOG.warning(
                "%d of the %d training examples of an epoch are left out: "
                "their batch does not split evenly over %d replicas. Let the "
                "data repeat, or choose a batch size that divides it.",
                dropped,
                dropped + trained,
                self._replicas,
            )


class CountedGenerator:
    """A generator's batches, counted; the first is looked at beforehand.

    Args:
        generator: A generator of batches.

    Raises:
        ValueError: If it is exhausted.
    """

    def __init__(self, generator: types.GeneratorType):
        try:
            self._first = next(generator)
        except StopIteration:
            raise ValueError("The generator yields no batch.") from None
        self._rest = generator
        self.count = 0
        self.ended = False

    @property
    def example(self) -> tuple:
        """A batch of one: `(x, y, sample_weight)`."""
        example = keras.tree.map_structure(first_of, self._first)
        return keras.utils.unpack_x_y_sample_weight(example)

    def batches(self) -> types.GeneratorType:
        """The same batches, as a generator."""
        for batch in itertools.chain([self._first], self._rest):
            self.count += 1
            yield batch
        self.ended = True


class StopAtDataEnd(keras.callbacks.Callback):
    """Stops when the last batch of a generator has been trained on.

    Keras keeps the batches that it drew ahead, and would train on those
    again in every further epoch.

    Args:
        generator: What is trained on.
    """

    def __init__(self, generator: CountedGenerator):
        super().__init__()
        self._generator = generator
        self._trained = 0
        self._in_epoch = 0

    def on_train_batch_end(self, batch, logs=None):
        self._in_epoch = batch + 1

    def on_epoch_end(self, epoch, logs=None):
        self._trained += self._in_epoch
        self._in_epoch = 0
        generator = self._generator
        if not generator.ended or self._trained < generator.count:
            return
        self.model.stop_training = True
        if epoch + 1 < (self.params or {}).get("epochs", 0):
            _LOG.warning(
                "The generator has ended after %d batches: training stops "
                "with epoch %d. Give a dataset, or a generator without end "
                "and steps_per_epoch.",
                generator.count,
                epoch,
            )
