"""Scikit-learn's handwritten digits: 1,797 images of 8x8 grey pixels.

They are installed with scikit-learn, so that this dataset needs neither a
network nor a folder.
"""

import numpy as np

from keras_graft.data.splits import Split

NUM_CLASSES = 10
# Of the training images that `read` returns, in pixel units.
PIXEL_MEAN = (77.822,)
PIXEL_STD = (95.878,)

# The brightest pixel of scikit-learn's images.
_WHITE = 16


def read(data_dir: str | None) -> tuple[Split, Split]:
    """Reads the images and splits them.

    There is no test split of their own. Every fifth image of each class
    makes one: stratified, and the same for every seed and NumPy version.

    Args:
        data_dir: Not used: the images come with scikit-learn.

    Returns:
        1,442 training and 355 test images of shape [8, 8, 1], the pixels
        stretched from 0...16 to 0...255.
    """
    del data_dir  # unused
    # Costs a second, which a run on other data need not pay.
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = np.rint(digits.images * (255 / _WHITE)).astype(np.uint8)
    labels = digits.target.astype(np.int32)
    is_test = np.zeros(len(labels), dtype=bool)
    for label in range(NUM_CLASSES):
        is_test[np.flatnonzero(labels == label)[4::5]] = True
    everything = Split(images[..., np.newaxis], labels)
    return (
        everything.take(np.flatnonzero(~is_test)),
        everything.take(np.flatnonzero(is_test)),
    )
