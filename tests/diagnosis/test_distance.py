"""How far apart weights are."""

import numpy as np
import pytest

from keras_graft.diagnosis.distance import weight_distance


def test_distance_is_that_of_all_kernels_as_one_vector():
    rng = np.random.default_rng(0)
    kernels = [
        [rng.normal(size=(3, 3, 2)), rng.normal(size=(4, 5))] for _ in range(3)
    ]
    flat = [np.concatenate([k.ravel() for k in ks]) for ks in kernels]
    expected = np.mean(
        [
            np.sqrt(((a - b) ** 2).sum() / ((a**2 + b**2).sum() / 2))
            for a, b in [(flat[0], flat[1]), (flat[0], flat[2]), flat[1:]]
        ]
    )
    assert weight_distance(kernels) == pytest.approx(expected)


@pytest.mark.parametrize(
    "kernels", [[[np.ones(3)]], [[np.ones(3)]] * 3, [[np.zeros(3)]] * 2]
)
def test_equal_networks_are_no_way_apart(kernels):
    assert weight_distance(kernels) == 0.0
