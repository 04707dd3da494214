"""Means, differences of paired seeds, calibration. Arrays in, numbers out."""

import dataclasses
from collections.abc import Mapping
from collections.abc import Sequence

import numpy as np
from scipy import stats

_CONFIDENCE = 0.95


@dataclasses.dataclass(frozen=True)
class Difference:
    """A mean difference with its confidence interval.

    Attributes:
        mean: In the unit of the values.
        low: Lower end of the interval; NaN for a single pair.
        high: Upper end.
        pairs: Number of pairs n.
    """

    mean: float
    low: float
    high: float
    pairs: int


def mean_and_std(values: Sequence[float]) -> tuple[float, float]:
    """Mean and sample standard deviation (n - 1); NaN for a single value."""
    array = np.asarray(values, dtype="float64")
    std = float(array.std(ddof=1)) if len(array) > 1 else float("nan")
    return float(array.mean()), std


def paired_difference(
    values: Mapping[int, float], baseline: Mapping[int, float]
) -> Difference | None:
    """Mean of the differences by seed, with a 95 % interval of Student's t.

    Args:
        values: By seed, such as test accuracies.
        baseline: Likewise; seeds that only one of the two has do not count.

    Returns:
        The difference, or None without a common seed.
    """
    seeds = sorted(values.keys() & baseline.keys())
    if not seeds:
        return None
    mean, std = mean_and_std([values[s] - baseline[s] for s in seeds])
    reach = float("nan")
    if len(seeds) > 1:
        t = stats.t.ppf((1 + _CONFIDENCE) / 2, df=len(seeds) - 1)
        reach = float(t) * std / len(seeds) ** 0.5
    return Difference(mean, mean - reach, mean + reach, len(seeds))


def expected_calibration_error(
    probabilities: np.ndarray, labels: np.ndarray, bins: int = 15
) -> float:
    """How far confidence is from accuracy (arXiv 1706.04599, equation 3).

    Args:
        probabilities: Shape (examples, classes), rows that sum to 1.
        labels: Int, shape (examples,).
        bins: Number of bins of equal width over the confidences (0, 1]; each
            holds its upper end.

    Returns:
        In [0, 1]: mean over examples of |accuracy - confidence| of their bin.
    """
    confidence = probabilities.max(axis=-1).astype("float64")
    correct = probabilities.argmax(axis=-1) == labels
    index = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gaps = np.bincount(index, weights=correct - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(labels))
