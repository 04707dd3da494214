"""The paper's other two sources: a network's own filters, and noise."""

import numpy as np

from keras_graft.structure.conv_layers import filter_rows


def internal_graft(
    kernel: np.ndarray, filter_axes: tuple[int, ...], threshold: float
) -> np.ndarray:
    """Adds a kernel's largest filters to its invalid ones.

    The filters are ranked by l1 norm; the i-th largest is added to the i-th
    smallest, as long as that one's norm is below the threshold (arXiv
    2001.05868, section 3.1; added, as in the reference's code, not copied).
    All filters are read before any is written.

    Args:
        kernel: Array of any shape, float32.
        filter_axes: Axes that number its filters.
        threshold: l1 norm below which a filter is invalid.

    Returns:
        New array of the same shape.
    """
    rows, norms = _rows_and_norms(kernel, filter_axes)
    order = np.argsort(norms, kind="stable")
    invalid = order[: np.count_nonzero(norms < threshold)]
    grafted = rows.copy()
    grafted[invalid] += rows[order[::-1][: len(invalid)]]
    return _from_rows(grafted, kernel, filter_axes)


def noise_graft(
    kernel: np.ndarray,
    filter_axes: tuple[int, ...],
    threshold: float,
    sigma: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Adds Gaussian noise to a kernel's invalid filters.

    (arXiv 2001.05868, equation 1.)

    Args:
        kernel: Array of any shape, float32.
        filter_axes: Axes that number its filters.
        threshold: l1 norm below which a filter is invalid.
        sigma: Standard deviation of the noise.
        rng: Source of the noise.

    Returns:
        New array of the same shape.
    """
    rows, norms = _rows_and_norms(kernel, filter_axes)
    grafted = rows.copy()
    invalid = norms < threshold
    shape = (np.count_nonzero(invalid), rows.shape[1])
    noise = rng.standard_normal(shape, dtype="float32")
    grafted[invalid] += np.float32(sigma) * noise
    return _from_rows(grafted, kernel, filter_axes)


def _rows_and_norms(kernel, filter_axes):
    rows = filter_rows(kernel, filter_axes)
    return rows, np.abs(rows).sum(axis=1)


def _from_rows(rows, kernel, filter_axes):
    front = tuple(range(len(filter_axes)))
    moved = np.moveaxis(kernel, filter_axes, front)
    return np.moveaxis(rows.reshape(moved.shape), front, filter_axes)
