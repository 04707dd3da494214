"""Values after a graft: constraints, precision, counts, many layers."""

import graft_reference as reference
import keras
import numpy as np
import pytest
from graft_reference import UNTOUCHED
from graft_reference import N
from graft_reference import conv_governors
from graft_reference import dense_governors
from graft_reference import norm_governors
from keras import layers

from keras_graft.grafting import GraftCallback


def test_constraints_hold_after_a_graft():
    def make():
        return keras.Sequential(
            [
                keras.Input((6, 6, 3)),
                layers.Conv2D(
                    4,
                    3,
                    kernel_constraint=keras.constraints.UnitNorm([0, 1, 2]),
                    name="a",
                ),
                layers.Dense(2, bias_constraint="non_neg", name="classifier"),
            ]
        )

    networks = [make() for _ in range(2)]
    reference.randomise(networks)
    before = [reference.values(network) for network in networks]
    governors = {
        **conv_governors("a"),
        **dense_governors("classifier", "a/kernel"),
    }
    expected = reference.grafted(before, governors)
    reference.graft(GraftCallback(), networks)
    for network, blend in zip(networks, expected, strict=True):
        after = reference.values(network)
        norms = np.sqrt((blend["a/kernel"] ** 2).sum((0, 1, 2)))
        assert np.all(np.abs(norms - 1) > 0.01)
        np.testing.assert_allclose(
            after["a/kernel"], blend["a/kernel"] / norms, rtol=1e-4
        )
        assert np.any(blend["classifier/bias"] < 0)
        np.testing.assert_allclose(
            after["classifier/bias"],
            np.maximum(blend["classifier/bias"], 0),
            rtol=1e-5,
        )


@pytest.mark.parametrize(
    "dtype, precision",
    [("float16", 1e-3), ("bfloat16", 1e-2), ("float64", 1e-12)],
)
def test_weights_of_any_precision_are_blended_in_it(dtype, precision):
    networks = [
        keras.Sequential(
            [keras.Input((6, 6, 3)), layers.Conv2D(3, 3, dtype=dtype, name="a")]
        )
        for _ in range(2)
    ]
    reference.randomise(networks)
    before = [
        {path: value.astype("float64") for path, value in values.items()}
        for values in map(reference.values, networks)
    ]
    reference.graft(GraftCallback(), networks)
    expected = reference.grafted(before, conv_governors("a"))
    for k, network in enumerate(networks):
        for path, after in reference.values(network).items():
            assert str(after.dtype) == dtype
            np.testing.assert_allclose(
                after.astype("float64"),
                expected[k][path],
                rtol=precision,
                atol=precision,
            )


def test_numbers_that_count_are_not_blended():
    class Counter(layers.Layer):
        def build(self, input_shape):
            self.count = self.add_weight(
                shape=(), name="count", dtype="int32", trainable=False
            )

        def call(self, x):
            return x

    def make():
        return keras.Sequential(
            [
                keras.Input((6, 6, 3)),
                layers.Conv2D(3, 3, name="a"),
                Counter(name="counter"),
            ]
        )

    networks = [make() for _ in range(2)]
    for k, network in enumerate(networks):
        network.layers[-1].count.assign(k)
    assert_block_on = {**conv_governors("a"), "counter/count": UNTOUCHED}
    reference.assert_graft(networks, assert_block_on, GraftCallback())
    assert int(networks[1].layers[-1].count) == 1


@pytest.mark.parametrize("criterion", ["entropy", "l1"])
def test_many_layers_of_one_shape_are_each_grafted_alone(criterion):
    depth = 6

    def make():
        network = [keras.Input((4, 4, 3))]
        for i in range(depth):
            constraint = "non_neg" if i == 5 else None
            network += [
                layers.Conv2D(3, 1, name=f"c{i}", bias_constraint=constraint),
                layers.BatchNormalization(name=f"bn{i}"),
            ]
        return keras.Sequential(network)

    networks = [make() for _ in range(N)]
    reference.randomise(networks)
    before = [reference.values(network) for network in networks]
    governors = {}
    for i in range(depth):
        governors |= conv_governors(f"c{i}")
        governors |= norm_governors(f"bn{i}", f"c{i}/kernel")
    slope, information = 10.0, reference.entropy
    if criterion == "l1":
        slope, information = 0.1, reference.l1
    settings = {"slope": slope, "information": information}
    expected = reference.grafted(before, governors, **settings)
    callback = GraftCallback(criterion=criterion, slope=slope)
    reference.graft(callback, networks)
    assert list(callback.coefficients) == [f"c{i}" for i in range(depth)]
    for network, blend in zip(networks, expected, strict=True):
        assert np.any(blend["c5/bias"] < 0)
        blend["c5/bias"] = np.maximum(blend["c5/bias"], 0)
        for path, after in reference.values(network).items():
            np.testing.assert_allclose(
                after, blend[path], rtol=1e-5, atol=1e-6, err_msg=path
            )
