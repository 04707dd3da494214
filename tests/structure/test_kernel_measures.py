import math

import numpy as np
import pytest

from keras_graft.structure.kernel_measures import kernel_entropy
from keras_graft.structure.kernel_measures import kernel_l1


def entropy_by_counting(kernel, num_bins=10):
    """The paper's histogram entropy, weight by weight."""
    weights = [float(w) for w in np.asarray(kernel).flat]
    low, high = min(weights), max(weights)
    if low == high:
        return 0.0
    counts = [0] * num_bins
    for w in weights:
        number = math.floor((w - low) / (high - low) * num_bins)
        counts[min(number, num_bins - 1)] += 1
    shares = [count / len(weights) for count in counts if count]
    return -sum(share * math.log(share) for share in shares)


@pytest.mark.parametrize("shape", [(3, 3, 4, 8), (1, 1, 2, 3), (5, 7), (40,)])
@pytest.mark.parametrize("num_bins", [2, 10, 17])
def test_entropy_equals_the_count_weight_by_weight(shape, num_bins):
    kernel = np.random.default_rng(0).normal(size=shape).astype("float32")
    assert kernel_entropy(kernel, num_bins) == pytest.approx(
        entropy_by_counting(kernel, num_bins), rel=1e-12
    )


def test_entropy_counts_the_maximum_in_the_last_bin():
    # 0 ... 10 in ten bins of width 1: the last one holds 9 and 10. The
    # reference code loses the maximum and gets 10/11 * log(11).
    kernel = np.arange(11.0)
    expected = 9 / 11 * math.log(11) + 2 / 11 * math.log(11 / 2)
    assert kernel_entropy(kernel) == pytest.approx(expected, rel=1e-12)


def test_equally_full_bins_have_the_largest_entropy():
    kernel = np.repeat(np.arange(10.0), 7)
    assert kernel_entropy(kernel) == pytest.approx(math.log(10))


@pytest.mark.parametrize(
    "kernel",
    [
        np.zeros((3, 3, 2, 4)),
        np.full((3, 3, 2, 4), -0.7, "float32"),
        np.array([3.5]),
        np.array(3.5),
        np.array([1.0, np.nan, 2.0]),
        np.array([1.0, np.inf, 2.0]),
        np.array([1.0, -np.inf, np.inf]),
        np.array([-1.7e308, 0.0, 1.7e308]),
    ],
    ids=[
        "zeros",
        "constant",
        "one weight",
        "scalar",
        "nan",
        "inf",
        "infs",
        "overflow",
    ],
)
def test_a_kernel_that_tells_nothing_has_entropy_zero(kernel):
    entropy = kernel_entropy(kernel)
    assert entropy == 0.0
    assert math.copysign(1, entropy) == 1


def test_entropy_does_not_depend_on_scale_and_shift():
    kernel = np.random.default_rng(1).normal(size=(3, 3, 4, 8))
    entropy = kernel_entropy(kernel)
    # Powers of two, so that no weight crosses a bin edge by rounding.
    assert kernel_entropy(kernel * 1024) == entropy
    assert kernel_entropy(kernel / 2**20) == entropy
    shifted = np.round(kernel * 2**20) / 2**20
    assert kernel_entropy(shifted + 4) == kernel_entropy(shifted)
    assert kernel_entropy(-kernel) == pytest.approx(entropy)


def test_entropy_of_weights_at_the_ends_of_float32_is_finite():
    largest = np.finfo("float32").max
    kernel = np.array([-largest, 0, largest], "float32")
    assert kernel_entropy(kernel) == pytest.approx(math.log(3))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("num_bins", [2, 7, 10])
def test_weights_beside_the_edge_of_a_bin_are_counted_as_one_by_one(
    dtype, num_bins
):
    rng = np.random.default_rng(0)
    for low, high in [(-1, 1), (-0.3, 0.1), (1e6, 1e6 + 1), (-1e-30, 5)]:
        low, high = np.array([low, high], dtype)
        edges = low + (high - low) * np.arange(num_bins + 1) / num_bins
        edges = np.tile(edges.astype(dtype), 100)
        for _ in range(3):
            beside = [edges, np.nextafter(edges, -np.inf)]
            beside.append(np.nextafter(edges, np.inf))
            edges = np.concatenate(beside)[rng.permutation(300)]
        kernel = np.clip([low, high, *edges], low, high)
        assert kernel_entropy(kernel, num_bins) == pytest.approx(
            entropy_by_counting(kernel, num_bins), rel=1e-12
        )


def test_weights_that_vanish_beside_the_minimum_are_counted_as_one_by_one():
    # -1e-20 + 1 is 1 in float64, so that the weight is in the upper bin.
    kernel = np.array([-1, -1e-12, -1e-20, 1], "float32")
    assert entropy_by_counting(kernel, 2) == pytest.approx(math.log(2))
    assert kernel_entropy(kernel, 2) == pytest.approx(math.log(2))


def test_entropy_of_half_precision_is_that_of_the_same_numbers():
    kernel = np.random.default_rng(2).normal(size=(3, 3, 2, 4)) ** 3
    half = kernel.astype("float16")
    assert kernel_entropy(half) == kernel_entropy(half.astype("float64"))


def test_entropy_refuses_a_single_bin_and_an_empty_kernel():
    with pytest.raises(
        ValueError, match="`num_bins` must be a whole number from 2 to .*: 1"
    ):
        kernel_entropy(np.arange(3.0), num_bins=1)
    with pytest.raises(ValueError, match=r"at least one weight.*\(3, 0\)"):
        kernel_entropy(np.zeros((3, 0)))


def test_l1_is_the_sum_of_absolute_values_of_the_whole_kernel():
    kernel = np.array([[1.0, -2.0], [0.5, -0.25]], "float32")
    assert kernel_l1(kernel) == 3.75


def test_l1_of_half_precision_does_not_overflow():
    kernel = np.full((100, 100), 60000, "float16")
    assert kernel_l1(kernel) == pytest.approx(60000 * 10000, rel=1e-3)
