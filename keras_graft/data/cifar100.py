"""CIFAR-100 (Krizhevsky 2009): 60,000 colour images of 32x32 in 100 classes."""

from keras_graft.data import tfds_source
from keras_graft.data.splits import Split

NUM_CLASSES = 100
# The statistics that the reference code of arXiv 2004.12311 normalises
# with, for CIFAR-10 and CIFAR-100 alike; times 255, in pixel units.
PIXEL_MEAN = (0.4914 * 255, 0.4822 * 255, 0.4465 * 255)
PIXEL_STD = (0.2023 * 255, 0.1994 * 255, 0.2010 * 255)


def read(data_dir: str | None) -> tuple[Split, Split]:
    """Reads the training and test images of shape [32, 32, 3].

    Args:
        data_dir: Folder of the prepared TFDS datasets, or None for TFDS' own.

    Returns:
        The training and the test split.

    Raises:
        DataUnavailableError: If the data is not there and cannot be had.
    """
    return tfds_source.read("cifar100", data_dir)
