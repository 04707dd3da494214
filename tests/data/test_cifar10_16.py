"""CIFAR-10 at half its size."""

import numpy as np

from keras_graft.data import cifar10
from keras_graft.data import cifar10_16
from keras_graft.data import splits
from keras_graft.data.splits import Split


def some_images(count):
    rng = np.random.default_rng(count)
    return rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


def test_pixel_is_the_rounded_mean_of_four():
    images = some_images(3)
    halved = cifar10_16.halve(images)
    assert halved.shape == (3, 16, 16, 3)
    assert halved.dtype == np.uint8
    four = images[1, 10:12, 20:22, 2].astype(float)
    assert halved[1, 5, 10, 2] == np.floor(four.mean() + 0.5)
    white = np.full((1, 2, 2, 1), 255, np.uint8)
    assert cifar10_16.halve(white).item() == 255


def test_images_of_cifar10_come_with_their_labels(monkeypatch):
    labels = np.arange(40, dtype=np.int32) % 10
    train, test = (
        Split(some_images(40), labels),
        Split(some_images(20), labels[:20]),
    )
    monkeypatch.setattr(cifar10, "read", lambda data_dir: (train, test))
    cifar10_16.read.cache_clear()
    loaded = splits.load("cifar10_16", "nowhere", validation_fraction=0)
    cifar10_16.read.cache_clear()
    assert np.array_equal(loaded.train.images, cifar10_16.halve(train.images))
    assert np.array_equal(loaded.test.labels, test.labels)
    assert loaded.validation is None
