import math

import graft_reference as reference
import numpy as np
import pytest

from keras_graft import grafting
from keras_graft.grafting import graft_coefficient
from keras_graft.grafting import graft_ring
from keras_graft.grafting import ring_learning_rates


def test_equal_information_keeps_one_half():
    assert graft_coefficient(1.7, 1.7) == 0.5


@pytest.mark.parametrize("amplitude", [0.0, 0.2, 0.4, 1.0])
@pytest.mark.parametrize("slope", [0.0, 1.0, 10.0, 500.0])
def test_the_coefficients_of_the_two_sides_sum_to_one(amplitude, slope):
    for own, peer in [(0.3, 2.2), (2.0, 1.999), (0.0, 2.3), (1.0, 1.0)]:
        total = graft_coefficient(own, peer, amplitude, slope)
        total += graft_coefficient(peer, own, amplitude, slope)
        assert total == pytest.approx(1, abs=1e-12)


# facts of the reference's saturation, to three digits: slope -> coefficient.
@pytest.mark.parametrize(
    "slope, expected",
    [
        (500, [0.559, 0.652, 0.675, 0.695, 0.697]),
        (100, [0.513, 0.559, 0.600, 0.675, 0.687]),
        (10, [0.501, 0.506, 0.513, 0.559, 0.600]),
        (1, [0.500, 0.501, 0.501, 0.506, 0.513]),
    ],
)
def test_coefficients_saturate_as_the_published_values_do(slope, expected):
    differences = [0.001, 0.005, 0.01, 0.05, 0.1]
    found = [graft_coefficient(2 + d, 2, 0.4, slope) for d in differences]
    np.testing.assert_allclose(found, expected, atol=6e-4)


def test_the_network_with_more_information_keeps_more_but_never_all():
    assert graft_coefficient(2.0, 1.0) > 0.5 > graft_coefficient(1.0, 2.0)
    assert graft_coefficient(1e9, 0.0) == pytest.approx(0.7)
    assert graft_coefficient(0.0, 1e9) == pytest.approx(0.3)


def test_information_that_is_no_number_counts_as_equal():
    for own, peer in [(math.nan, 1.0), (1.0, math.inf), (math.inf, math.inf)]:
        assert graft_coefficient(own, peer) == 0.5


@pytest.mark.parametrize("amplitude", [-0.1, 1.1, math.nan])
def test_an_amplitude_out_of_range_is_refused(amplitude):
    with pytest.raises(ValueError, match=r"`amplitude` must be in \[0, 1\]"):
        graft_coefficient(1.0, 2.0, amplitude=amplitude)


@pytest.mark.parametrize("slope", [-1.0, math.nan, math.inf])
def test_a_slope_out_of_range_is_refused(slope):
    with pytest.raises(ValueError, match="`slope` must be a finite number"):
        graft_coefficient(1.0, 2.0, slope=slope)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_the_ring_equals_a_loop_over_networks(n):
    rng = np.random.default_rng(n)
    weights = [rng.normal(size=(3, 2)).astype("float32") for _ in range(n)]
    before = [w.copy() for w in weights]
    shares = rng.uniform(size=n).tolist()
    rings = graft_ring(weights, shares)
    assert len(rings) == n
    for k in range(n):
        expected = shares[k] * before[k] + (1 - shares[k]) * before[k - 1]
        np.testing.assert_allclose(rings[k], expected, rtol=1e-6)
        assert rings[k].dtype == np.float32
        # The weights that were read are not the ones that are returned.
        np.testing.assert_array_equal(weights[k], before[k])
        assert not np.shares_memory(rings[k], weights[k])


def test_a_ring_of_one_keeps_its_weights_whatever_the_coefficient():
    weight = np.arange(4.0)
    np.testing.assert_array_equal(graft_ring([weight], [0.3])[0], weight)


def test_as_many_coefficients_as_networks_are_needed():
    with pytest.raises(ValueError, match="Received 3 and 2"):
        graft_ring([np.zeros(1)] * 3, [0.5, 0.5])


def test_entropy_and_coefficient_together_equal_numpy():
    rng = np.random.default_rng(3)
    kernels = [rng.normal(size=(3, 3, 4, 8)) ** power for power in (1, 3, 5)]
    expected = reference.coefficients(kernels)
    held = [grafting.kernel_entropy(kernel) for kernel in kernels]
    for k in range(3):
        found = graft_coefficient(held[k], held[k - 1])
        assert found == pytest.approx(expected[k], rel=1e-12)


# The reference's learning rates, times 0.1.
@pytest.mark.parametrize(
    "n, shares",
    [
        (1, [1]),
        (2, [0.5, 1]),
        (3, [0.25, 0.75, 1]),
        (4, [0.146, 0.5, 0.854, 1]),
        (6, [0.067, 0.25, 0.5, 0.75, 0.933, 1]),
        (8, [0.038, 0.146, 0.309, 0.5, 0.691, 0.854, 0.962, 1]),
    ],
)
def test_ring_learning_rates_are_those_of_the_reference(n, shares):
    rates = ring_learning_rates(0.1, n)
    np.testing.assert_allclose(rates, 0.1 * np.array(shares), atol=6e-5)


@pytest.mark.parametrize("base, n", [(0, 2), (-1, 2), (math.nan, 2), (0.1, 0)])
def test_learning_rates_out_of_range_are_refused(base, n):
    with pytest.raises(
        ValueError, match="`base` must be a number above 0 and `n`"
    ):
        ring_learning_rates(base, n)
