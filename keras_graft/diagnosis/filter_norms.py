"""The l1 norm of each filter, and which of them are invalid."""

from collections.abc import Iterable
from collections.abc import Sequence

import numpy as np

from keras_graft.checks.numbers import is_number

DEFINITION = (
    "A filter is one output slice of a convolution kernel (depthwise: one for "
    "each channel and multiplier), not one of its 2-d slices. It is invalid "
    "if its l1 norm, the sum of its absolute weights, is below the threshold."
)


def filter_l1_norms(
    kernel: np.ndarray, filter_axes: Sequence[int] = (-1,)
) -> np.ndarray:
    """The l1 norm of every filter of a kernel.

    Source: arXiv 2001.05868, section 3.1.

    Args:
        kernel: Array of any rank, float.
        filter_axes: Axes that number the filters, ascending. Defaults to
            `(-1,)`, that of an ordinary convolution.

    Returns:
        Array of shape (filters,), float64, at least 0. With two filter axes
        the last one runs fastest.
    """
    magnitudes = np.abs(np.asarray(kernel, dtype="float64"))
    kept = {axis % magnitudes.ndim for axis in filter_axes}
    summed = tuple(a for a in range(magnitudes.ndim) if a not in kept)
    return magnitudes.sum(axis=summed).reshape(-1)


def count_invalid(norms: np.ndarray, threshold: float) -> int:
    """Number of filters that are not valid.

    Args:
        norms: l1 norms, shape (filters,).
        threshold: Above 0, in the unit of the weights.

    Returns:
        How many norms are below the threshold or not finite: a filter that
        has diverged is no valid one.
    """
    return int(np.sum(~is_valid(norms, threshold)))


def is_valid(norms: np.ndarray, threshold: float) -> np.ndarray:
    """Which filters have a finite norm that reaches the threshold.

    Args:
        norms: l1 norms, shape (filters,).
        threshold: Above 0.

    Returns:
        Array of shape (filters,), bool.
    """
    norms = np.asarray(norms)
    return np.isfinite(norms) & (norms >= threshold)


def check_thresholds(thresholds: Iterable[float]) -> tuple[float, ...]:
    """Checks thresholds and puts the largest first.

    Args:
        thresholds: Numbers above 0.

    Returns:
        Each one once, falling.

    Raises:
        ValueError: If there is none, or one is not finite or not above 0.
    """
    received = list(thresholds)
    values = [float(v) for v in received if is_number(v) and v > 0]
    if not values or len(values) < len(received):
        raise ValueError(
            "Thresholds of the l1 norm must be finite numbers above 0, at "
            f"least one, such as (1.0, 0.1). Received: {received}"
        )
    return tuple(sorted(set(values), reverse=True))
