"""Means, paired differences and calibration against few-line NumPy."""

import math

import numpy as np
import pytest

from keras_graft.compare.statistics import expected_calibration_error
from keras_graft.compare.statistics import mean_and_std
from keras_graft.compare.statistics import paired_difference


def test_mean_and_sample_standard_deviation():
    mean, std = mean_and_std([0.60, 0.62, 0.67])
    assert mean == pytest.approx(0.63)
    # sqrt((0.03^2 + 0.01^2 + 0.04^2) / 2)
    assert std == pytest.approx(math.sqrt(0.0026 / 2))


def test_one_value_has_no_standard_deviation():
    mean, std = mean_and_std([0.5])
    assert mean == 0.5
    assert math.isnan(std)


def test_paired_difference_has_the_interval_of_students_t():
    ours = {0: 0.61, 1: 0.64, 2: 0.60, 3: 0.66, 4: 0.63}
    base = {0: 0.60, 1: 0.61, 2: 0.60, 3: 0.64, 4: 0.62}
    found = paired_difference(ours, base)
    gaps = np.array([0.01, 0.03, 0.0, 0.02, 0.01])
    # 2.776445 is the 97.5 % point of t with 4 degrees of freedom, from a
    # printed table.
    reach = 2.776445 * gaps.std(ddof=1) / math.sqrt(5)
    assert found.mean == pytest.approx(0.014)
    assert found.low == pytest.approx(0.014 - reach, abs=1e-7)
    assert found.high == pytest.approx(0.014 + reach, abs=1e-7)
    assert found.pairs == 5


def test_pairs_are_made_by_seed_not_by_position():
    ours = {2: 0.7, 0: 0.5, 9: 0.1}
    base = {0: 0.4, 1: 0.9, 2: 0.6}
    found = paired_difference(ours, base)
    assert found.mean == pytest.approx(0.1)
    assert found.pairs == 2


def test_one_pair_has_a_difference_without_interval():
    found = paired_difference({0: 0.5}, {0: 0.4})
    assert found.mean == pytest.approx(0.1)
    assert math.isnan(found.low) and math.isnan(found.high)


def test_no_common_seed_gives_no_difference():
    assert paired_difference({0: 0.5}, {1: 0.4}) is None


def reference_ece(probabilities, labels, bins):
    total = 0.0
    for b in range(bins):
        low, high = b / bins, (b + 1) / bins
        inside = [
            i for i, row in enumerate(probabilities) if low < max(row) <= high
        ]
        if inside:
            confidence = np.mean([max(probabilities[i]) for i in inside])
            accuracy = np.mean(
                [np.argmax(probabilities[i]) == labels[i] for i in inside]
            )
            total += len(inside) / len(labels) * abs(accuracy - confidence)
    return total


def test_calibration_error_against_a_loop():
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.full(10, 0.3), size=500)
    labels = rng.integers(0, 10, 500)
    assert expected_calibration_error(probabilities, labels) == pytest.approx(
        reference_ece(probabilities, labels, 15)
    )


def test_sure_and_right_is_calibrated_sure_and_wrong_is_not():
    probabilities = np.eye(3)
    assert expected_calibration_error(probabilities, np.arange(3)) == 0
    assert expected_calibration_error(probabilities, np.array([1, 2, 0])) == 1


def test_confidence_on_an_edge_belongs_to_the_lower_bin():
    probabilities = np.array([[0.5, 0.5], [0.8, 0.2]])
    # Right at 0.5, wrong at 0.8: one bin for both would hide half of it.
    found = expected_calibration_error(probabilities, np.array([0, 1]), bins=2)
    assert found == pytest.approx((0.5 + 0.8) / 2)
