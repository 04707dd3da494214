"""Data that says what each epoch holds."""

import abc

import tensorflow as tf


class EpochDataset(abc.ABC):
    """Data that says what each epoch holds.

    Attributes:
        steps_per_epoch: Batches of an epoch.
    """

    steps_per_epoch: int

    @abc.abstractmethod
    def from_epoch(self, epoch: int) -> tf.data.Dataset:
        """The batches from the beginning of an epoch on, without end.

        Args:
            epoch: Counted from 0.
        """
