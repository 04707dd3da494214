"""Medians, their intervals, ratios, and how fast a cost grows."""

import growth
import numpy as np
import pytest
from measuring.intervals import estimate
from measuring.intervals import growth_exponent
from measuring.intervals import last_exponent
from measuring.intervals import ratios


def test_interval_of_five_values_is_their_range():
    found = estimate([5.0, 1.0, 2.0, 4.0, 3.0])
    assert (found.median, found.low, found.high) == (3.0, 1.0, 5.0)
    assert found.coverage == 1 - 2 / 2**5
    assert found.count == 5


def test_interval_leaves_out_what_it_can():
    # The tables of the sign test: the 6th to the 15th of 20 values.
    found = estimate(range(1, 21))
    assert (found.low, found.high) == (6, 15)
    assert found.coverage == pytest.approx(0.9586, abs=1e-4)


def test_few_values_say_how_little_they_cover():
    assert estimate([7.0]).coverage == 0
    assert estimate([1.0, 2.0, 3.0]).coverage == 0.75
    with pytest.raises(ValueError, match="one at least"):
        estimate([])


@pytest.mark.parametrize("count", [5, 9, 12])
def test_interval_holds_the_median_as_often_as_it_says(count):
    rng = np.random.default_rng(0)
    drawn = rng.exponential(size=(4000, count))
    found = [estimate(list(values)) for values in drawn]
    held = np.mean([e.low <= np.log(2) <= e.high for e in found])
    assert found[0].coverage >= 0.9
    assert held == pytest.approx(found[0].coverage, abs=0.02)


def test_ratios_pair_what_was_measured_in_one_round():
    assert ratios([2.0, 9.0], [1.0, 3.0]) == [2.0, 3.0]
    with pytest.raises(ValueError, match="shorter"):
        ratios([1.0, 2.0], [1.0])


def test_exponent_of_a_power_is_found():
    sizes = [1, 2, 4, 8]
    assert growth_exponent(sizes, [3 * s**1.5 for s in sizes]) == (
        pytest.approx(1.5)
    )
    with pytest.raises(ValueError, match="two different sizes"):
        growth_exponent([2, 2], [1, 1])


def test_quadratic_growth_under_a_fixed_cost_is_named():
    sizes = [1, 2, 4, 8, 16]
    hidden = [50 + s**2 for s in sizes]
    assert growth_exponent(sizes, hidden) < 1
    assert last_exponent(sizes, hidden) > 1.1
    fitted = growth.fit_growth(
        sizes,
        {
            "hidden, s": hidden,
            "linear, s": [5 + s for s in sizes],
            "tiny, s": [1e-7 * s**2 for s in sizes],
        },
    )
    named = [name for name in fitted if fitted[name]["faster_than_linear"]]
    assert named == ["hidden, s"]
