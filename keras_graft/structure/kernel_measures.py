"""Measures of a convolution kernel: how much information it holds."""

import numpy as np

from keras_graft.checks.numbers import is_whole

# More than a kernel has weights; each takes memory.
_MOST_BINS = 2**20


def check_num_bins(num_bins: int) -> None:
    """Raises a ValueError unless a histogram can have so many bins."""
    if not is_whole(num_bins, 2) or num_bins > _MOST_BINS:
        raise ValueError(
            f"`num_bins` must be a whole number from 2 to {_MOST_BINS}: with "
            "one bin every kernel has the entropy 0, and with more of them "
            f"than weights its own. Received: {num_bins!r}"
        )


def kernel_entropy(kernel: np.ndarray, num_bins: int = 10) -> float:
    """Entropy of the histogram of a kernel's weights.

    The weights are counted in `num_bins` equal bins between their own
    minimum and maximum (arXiv 2001.05868, section 3.3). It measures the shape
    of the distribution: scale and shift of the weights leave it unchanged.
    The maximum belongs to the last bin; the reference code loses it.

    Args:
        kernel: Array of any shape, float.
        num_bins: Number of bins, from 2 to 2**20. Defaults to 10.

    Returns:
        Entropy in nats, in [0, log(num_bins)]. A constant kernel, one of a
        single weight, and one with a weight that is not finite have 0.

    Raises:
        ValueError: If `num_bins` is out of range, or the kernel is empty or
            no array of numbers.
    """
    check_num_bins(num_bins)
    weights = _weights(kernel)
    if not weights.size:
        raise ValueError(
            "A kernel must hold at least one weight. Received an array of "
            f"shape {np.shape(kernel)}."
        )
    low = weights.min()
    with np.errstate(invalid="ignore", over="ignore"):
        span = weights.max() - low
    if not 0 < span < np.inf:
        return 0.0
    bins = ((weights - low) / span * num_bins).astype("int64")
    counts = np.bincount(np.minimum(bins, num_bins - 1))
    share = counts[counts > 0] / weights.size
    return float(-np.sum(share * np.log(share)))


def kernel_l1(kernel: np.ndarray) -> float:
    """Sum of the absolute values of a whole kernel.

    Args:
        kernel: Array of any shape, float.

    Returns:
        Float, at least 0.

    Raises:
        ValueError: If the kernel is no array of numbers.
    """
    return float(np.sum(np.abs(_weights(kernel))))


def _weights(kernel):
    if kernel is None:  # NumPy takes it for a NaN.
        raise ValueError("A kernel must be an array of numbers. Received: None")
    # In half precision weights would fall into other bins.
    return np.asarray(kernel, "float64").ravel()
