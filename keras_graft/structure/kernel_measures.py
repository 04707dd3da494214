"""Measures of a convolution kernel: how much information it holds."""

from collections.abc import Sequence

import numpy as np


def kernel_entropy(kernel: np.ndarray, num_bins: int = 10) -> float:
    """Entropy of the histogram of a kernel's weights.

    The weights are counted in `num_bins` equal bins between their own
    minimum and maximum (arXiv 2001.05868, section 3.3). It measures the shape
    of the distribution: scale and shift of the weights leave it unchanged.
    The maximum belongs to the last bin; the reference code loses it.

    Args:
        kernel: Array of any shape, float.
        num_bins: Number of bins, at least 2. Defaults to 10.

    Returns:
        Entropy in nats, in [0, log(num_bins)]. A constant kernel, one of a
        single weight, and one with a weight that is not finite have 0.

    Raises:
        ValueError: If `num_bins` is below 2 or the kernel is empty.
    """
    return float(kernel_entropies([kernel], num_bins)[0])


def kernel_entropies(
    kernels: Sequence[np.ndarray], num_bins: int = 10
) -> np.ndarray:
    """The `kernel_entropy` of several kernels of one shape.

    Args:
        kernels: n arrays of one shape and dtype, float.
        num_bins: Number of bins, at least 2. Defaults to 10.

    Returns:
        Shape (n,), float64.

    Raises:
        ValueError: If `num_bins` is below 2 or the kernels are empty.
    """
    if num_bins < 2:
        raise ValueError(
            "`num_bins` must be at least 2, else every kernel has the "
            f"entropy 0. Received: {num_bins}"
        )
    rows = [_float32_or_64(kernel).ravel() for kernel in kernels]
    if not rows[0].size:
        raise ValueError(
            "A kernel must hold at least one weight. Received an array of "
            f"shape {np.shape(kernels[0])}."
        )
    low = np.array([[row.min()] for row in rows], "float64")
    high = np.array([[row.max()] for row in rows], "float64")
    with np.errstate(invalid="ignore", over="ignore"):
        span = high - low
    tells = np.flatnonzero((span > 0) & (span < np.inf))
    edges = _bin_edges(low[tells], span[tells], num_bins, rows[0].dtype)
    # How many weights reach each edge: several times faster than to find the
    # bin of each weight.
    reach = np.zeros((len(rows), num_bins + 1), "int64")
    reach[:, 0] = rows[0].size
    reaches = np.empty((num_bins - 1, rows[0].size), bool)
    for k, of_row in zip(tells, edges[..., np.newaxis], strict=True):
        np.greater_equal(rows[k], of_row, out=reaches)
        reach[k, 1:num_bins] = [np.count_nonzero(row) for row in reaches]
    share = -np.diff(reach) / rows[0].size
    log = np.log(share, where=share > 0, out=np.zeros_like(share))
    return -np.sum(share * log, axis=1) + 0.0


def _float32_or_64(kernel):
    kernel = np.asarray(kernel)
    return kernel.astype(np.result_type(kernel, "float32"), copy=False)


def _bin_edges(low, span, num_bins, dtype):
    """The smallest number of `dtype` in each bin but the first.

    Number w is in bin `floor((w - low) / span * num_bins)`, as it comes out
    in float64. Each operation rounds, but none changes the order of two
    numbers: so an edge parts two bins, and is found from a number close by.
    """
    bins = np.arange(1, num_bins)
    distance = _smallest(
        span / num_bins * bins, lambda d: d / span * num_bins >= bins
    )
    # `w - low` is rounded up to `distance` from half a step below it, which
    # is far for a w near zero: there, numbers are dense.
    half = (distance - np.nextafter(distance, 0)) / 2
    near = (low + distance - half).astype(dtype)
    return _smallest(near, lambda w: w - low >= distance)


def _smallest(near, reaches):
    """The smallest numbers that reach a bound, from numbers close by."""
    while not (there := reaches(near)).all():
        near = np.where(there, near, np.nextafter(near, np.inf))
    while (there := reaches(below := np.nextafter(near, -np.inf))).any():
        near = np.where(there, below, near)
    return near


def kernel_l1(kernel: np.ndarray) -> float:
    """Sum of the absolute values of a whole kernel.

    Args:
        kernel: Array of any shape, float.

    Returns:
        Float, at least 0.
    """
    return float(np.sum(np.abs(np.asarray(kernel, dtype="float64"))))
