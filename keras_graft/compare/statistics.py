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
    reach = seeds_reach(std, len(seeds))
    return Difference(mean, mean - reach, mean + reach, len(seeds))


def seeds_reach(std: float, seeds: int, tested_share: float = 0.0) -> float:
    """Half the width of the 95 % interval of a mean over seeds.

    Seeds that draw their test images anew from the same pool train and test
    on what the others have too, so that they tell less than their number
    says: the variance is that of Nadeau and Bengio (2003), "Inference for
    the Generalization Error".

    Args:
        std: Sample standard deviation over the seeds.
        seeds: Their number.
        tested_share: Test images for each other image, where every seed
            draws its own; 0 where all have the same.

    Returns:
        NaN for a single seed.
    """
    if seeds < 2:
        return float("nan")
    t = float(stats.t.ppf((1 + _CONFIDENCE) / 2, df=seeds - 1))
    return t * std * (1 / seeds + tested_share) ** 0.5


def images_reach(differences: np.ndarray) -> float:
    """Half the width of the 95 % interval that the test images leave open.

    Args:
        differences: By test image, mean over the seeds of what one arm has
            right less what the other has; shape (images,).

    Returns:
        NaN for a single image.
    """
    if len(differences) < 2:
        return float("nan")
    z = float(stats.norm.ppf((1 + _CONFIDENCE) / 2))
    return z * float(differences.std(ddof=1)) / len(differences) ** 0.5


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
