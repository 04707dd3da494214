"""l1 norms of filters, and how many of them are invalid."""

import numpy as np
import pytest

from keras_graft.diagnosis import count_invalid
from keras_graft.diagnosis import filter_l1_norms
from keras_graft.diagnosis.filter_norms import check_thresholds


def test_norms_equal_a_loop_over_filters():
    kernel = np.random.default_rng(0).normal(size=(3, 3, 4, 5))
    expected = [
        sum(abs(weight) for weight in kernel[:, :, :, j].ravel())
        for j in range(5)
    ]
    np.testing.assert_allclose(filter_l1_norms(kernel), expected)


def test_depthwise_norms_run_over_channels_then_multipliers():
    kernel = np.random.default_rng(1).normal(size=(3, 3, 4, 2))
    expected = [
        np.abs(kernel[:, :, channel, multiplier]).sum()
        for channel in range(4)
        for multiplier in range(2)
    ]
    norms = filter_l1_norms(kernel, filter_axes=(-2, -1))
    np.testing.assert_allclose(norms, expected)


def test_small_weights_in_half_precision_are_not_lost():
    kernel = np.full((1, 1, 4096, 1), 1e-3, dtype="float16")
    assert filter_l1_norms(kernel)[0] == pytest.approx(4.096, rel=1e-3)


def test_filter_at_the_threshold_is_valid():
    assert count_invalid(np.array([0.0, 0.0999, 0.1, 2.0]), 0.1) == 2


def test_filter_that_diverged_is_invalid():
    assert count_invalid(np.array([np.nan, np.inf, 5.0]), 0.1) == 2


def test_thresholds_are_put_in_falling_order_once_each():
    assert check_thresholds([0.1, 1, 0.1]) == (1.0, 0.1)


@pytest.mark.parametrize(
    "thresholds", [[], [0.0], [-1.0], [float("nan")], [1.0, float("inf")]]
)
def test_threshold_that_is_no_positive_number_is_refused(thresholds):
    with pytest.raises(ValueError, match="finite numbers above 0"):
        check_thresholds(thresholds)
