"""CIFAR-10 at half its size: each pixel is the mean of 2x2 pixels.

A quarter of the cost, for studies of many runs on a small machine. Nobody
publishes accuracies on it.
"""

import functools

import numpy as np

from keras_graft.data import cifar10
from keras_graft.data.splits import Split

NUM_CLASSES = cifar10.NUM_CLASSES
# Of the training images that `read` returns, in pixel units.
PIXEL_MEAN = (124.264, 123.082, 112.691)
PIXEL_STD = (60.286, 59.626, 64.381)


# A study reads them for every run of one process, which takes 15 s each time.
@functools.lru_cache(maxsize=1)
def read(data_dir: str | None) -> tuple[Split, Split]:
    """Reads the training and test images of shape [16, 16, 3].

    Args:
        data_dir: Folder of the prepared TFDS datasets, or None for TFDS' own.

    Returns:
        The training and the test split.

    Raises:
        DataUnavailableError: If the data is not there and cannot be had.
    """
    train, test = cifar10.read(data_dir)
    return _halved(train), _halved(test)


def _halved(split: Split) -> Split:
    return Split(halve(split.images), split.labels)


def halve(images: np.ndarray) -> np.ndarray:
    """Means of 2x2 pixels, a half rounded up.

    Args:
        images: uint8, shape [n, height, width, channels], both even.

    Returns:
        uint8, shape [n, height / 2, width / 2, channels].
    """
    top, bottom = images[:, ::2], images[:, 1::2]
    total = np.full(top[:, :, ::2].shape, 2, np.uint16)  # half of the divisor
    for rows in (top, bottom):
        total += rows[:, :, ::2]
        total += rows[:, :, 1::2]
    return (total // 4).astype(np.uint8)
