"""CIFAR-100 (Krizhevsky 2009): 60,000 colour images of 32x32 in 100 classes."""

from keras_graft.data import cifar10
from keras_graft.data import tfds_source
from keras_graft.data.splits import Split

NUM_CLASSES = 100
# As the reference code of arXiv 2004.12311 has it.
PIXEL_MEAN, PIXEL_STD = cifar10.PIXEL_MEAN, cifar10.PIXEL_STD


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
