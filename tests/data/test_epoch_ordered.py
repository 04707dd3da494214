"""Batches of a user's own arrays, by seed and epoch."""

import numpy as np
import pytest

from keras_graft.data import EpochOrdered


def epochs_of(dataset, first, count):
    batches = dataset.from_epoch(first).take(count * dataset.steps_per_epoch)
    return [batch.numpy() for batch in batches]


def test_every_epoch_has_an_order_of_its_own_wherever_it_begins():
    numbers = np.arange(10)
    dataset = EpochOrdered(numbers, batch_size=3, seed=1)
    assert dataset.steps_per_epoch == 3
    through = np.reshape(epochs_of(dataset, 0, 3), (3, 9))
    for epoch in range(3):
        assert len(set(through[epoch])) == 9
        np.testing.assert_array_equal(
            through[epoch], np.concatenate(epochs_of(dataset, epoch, 1))
        )
    assert not np.array_equal(through[0], through[1])
    other = EpochOrdered(numbers, batch_size=3, seed=2)
    assert not np.array_equal(through[0], np.ravel(epochs_of(other, 0, 1)))


def test_arrays_stay_together():
    x = np.arange(20).reshape(10, 2)
    dataset = EpochOrdered(({"a": x}, x[:, 0]), batch_size=4, seed=0)
    for inputs, labels in dataset.from_epoch(5).take(4):
        np.testing.assert_array_equal(inputs["a"][:, 0], labels)


def test_wrong_lengths_are_refused():
    with pytest.raises(ValueError, match=r"arrays of \[3, 4\] examples"):
        EpochOrdered((np.zeros(3), np.zeros(4)), batch_size=1, seed=0)
    with pytest.raises(ValueError, match="batch_size=5"):
        EpochOrdered(np.zeros(4), batch_size=5, seed=0)
