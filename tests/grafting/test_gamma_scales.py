"""The scales that the criterion `gamma` finds for every kind of kernel."""

import graft_reference as reference
import keras
import numpy as np
import pytest
from keras import layers

from keras_graft.grafting import GraftCallback
from keras_graft.grafting import gamma_coefficient


def branching(kind):
    """A convolution of a kind between two BatchNormalizations."""
    inputs = keras.Input((6, 6, 4))
    x = layers.Conv2D(4, 1, use_bias=False, name="first")(inputs)
    x = layers.ReLU()(layers.BatchNormalization(name="bn1")(x))
    x = {
        "depthwise": layers.DepthwiseConv2D(
            3, depth_multiplier=2, use_bias=False, name="conv"
        ),
        "transposed": layers.Conv2DTranspose(6, 3, use_bias=False, name="conv"),
        "grouped": layers.Conv2D(6, 3, groups=2, use_bias=False, name="conv"),
        "separable": layers.SeparableConv2D(6, 3, use_bias=False, name="conv"),
    }[kind](x)
    x = layers.BatchNormalization(name="bn2")(x)
    return keras.Model(inputs, layers.GlobalAveragePooling2D()(x))


def scales_by_hand(kind, values):
    """From a kernel's path to what scales each of its weights."""
    into = np.abs(values["bn1/gamma"])
    out = np.abs(values["bn2/gamma"])
    if kind == "depthwise":  # Filter (c, m) is channel 2 c + m.
        scale = np.zeros((3, 3, 4, 2))
        for c, m in np.ndindex(4, 2):
            scale[:, :, c, m] = into[c] * out[2 * c + m]
        return {"conv/kernel": scale}
    if kind == "transposed":
        return {"conv/kernel": np.ones((3, 3, 1, 1)) * np.outer(out, into)}
    if kind == "grouped":  # Filters 0 to 2 read channels 0 and 1.
        scale = np.zeros((3, 3, 2, 6))
        for c, f in np.ndindex(2, 6):
            scale[:, :, c, f] = into[c + 2 * (f // 3)] * out[f]
        return {"conv/kernel": scale}
    return {
        "conv/depthwise_kernel": np.ones((3, 3, 1, 1)) * into[:, None],
        "conv/pointwise_kernel": np.ones((1, 1, 4, 1)) * out,
    }


@pytest.mark.parametrize(
    "kind", ["depthwise", "transposed", "grouped", "separable"]
)
def test_every_kind_of_convolution_follows_its_own_channels(kind):
    networks = [branching(kind) for _ in range(2)]
    reference.randomise(networks)
    before = [reference.values(network) for network in networks]
    reference.graft(GraftCallback(criterion="gamma"), networks)
    after = reference.values(networks[0])
    own, peer = (scales_by_hand(kind, values) for values in before)
    for path in own:
        w = own[path] / (own[path] + peer[path])
        expected = w * before[0][path] + (1 - w) * before[1][path]
        np.testing.assert_allclose(after[path], expected, rtol=1e-5, atol=1e-5)


def test_coefficient_of_two_scales():
    np.testing.assert_array_equal(
        gamma_coefficient(
            np.array([1.0, 3.0, 0.0, 0.0, np.nan, 1.0]),
            np.array([1.0, 1.0, 2.0, 0.0, 1.0, np.inf]),
        ),
        [0.5, 0.75, 0.0, 0.5, 0.5, 0.5],
    )
