"""The criterion `gamma`, weight by weight in NumPy."""

import logging

import graft_reference as reference
import keras
import numpy as np
import pytest
from keras import layers

from keras_graft import models
from keras_graft.grafting import GraftCallback


def share(own, peer):
    """The coefficient of one weight, from the two sides' scales."""
    return 0.5 if own + peer == 0 else own / (own + peer)


def grafted_weight(path, before, after_norm, before_norm, dense=None):
    """One weight of every network after a graft, element by element.

    Args:
        path: Of the weight.
        before: For each network its values by path.
        after_norm: Name of the layer whose gammas number the last axis.
        before_norm: Name of the layer whose gammas number the axis before.
        dense: Number of gammas where a Flatten came between.
    """

    def scale(values, index):
        factor = 1.0
        if after_norm:
            factor *= abs(values[f"{after_norm}/gamma"][index[-1]])
        if before_norm:
            factor *= abs(
                values[f"{before_norm}/gamma"][
                    index[-2] % dense if dense else index[-2]
                ]
            )
        return factor

    found = []
    for k in range(len(before)):
        own, peer = before[k], before[k - 1]
        new = np.empty_like(own[path])
        for index in np.ndindex(new.shape):
            w = share(scale(own, index), scale(peer, index))
            new[index] = w * own[path][index] + (1 - w) * peer[path][index]
        found.append(new)
    return found


def norm_rows(layer):
    names = ("gamma", "beta", "moving_mean", "moving_variance")
    return {f"{layer}/{name}": (layer, None) for name in names}


def assert_gamma_graft(networks, rows, dense=None, **arguments):
    """Grafts random networks and compares every weight with NumPy.

    Args:
        networks: To graft.
        rows: From each path to the pair (norm after, norm before).
        dense: From a path to the number of gammas before a Flatten.
        **arguments: Of the callback.
    """
    reference.randomise(networks)
    before = [reference.values(network) for network in networks]
    callback = GraftCallback(criterion="gamma", **arguments)
    reference.graft(callback, networks)
    after = [reference.values(network) for network in networks]
    for path in before[0]:
        if path in rows:
            expected = grafted_weight(
                path, before, *rows[path], (dense or {}).get(path)
            )
        else:
            expected = [values[path] for values in before]
        for k in range(len(networks)):
            np.testing.assert_allclose(
                after[k][path],
                expected[k],
                rtol=1e-5,
                atol=1e-5,
                err_msg=f"network {k}: {path}",
            )
    return callback, before


def vgg_like(bias=False, flatten=False):
    """Two convolutions with pooling and dropout between, and a classifier."""
    return keras.Sequential(
        [
            keras.Input((8, 8, 2)),
            layers.Conv2D(4, 3, padding="same", use_bias=bias, name="conv1"),
            layers.BatchNormalization(name="bn1"),
            layers.ReLU(),
            layers.MaxPooling2D(),
            layers.Dropout(0.1),
            layers.Conv2D(5, 3, use_bias=bias, name="conv2"),
            layers.BatchNormalization(name="bn2"),
            layers.Activation("relu"),
            layers.Flatten() if flatten else layers.GlobalMaxPooling2D(),
            layers.Dense(3, name="classifier"),
        ]
    )


VGG_ROWS = {
    "conv1/kernel": ("bn1", None),
    "conv1/bias": ("bn1", None),
    **norm_rows("bn1"),
    "conv2/kernel": ("bn2", "bn1"),
    "conv2/bias": ("bn2", None),
    **norm_rows("bn2"),
    "classifier/kernel": (None, "bn2"),
    "classifier/bias": (None, None),
}


@pytest.mark.parametrize("n", [2, 3])
def test_in_a_chain_filters_and_what_reads_them_follow_one_gamma(n):
    networks = [vgg_like(bias=True) for _ in range(n)]
    callback, before = assert_gamma_graft(networks, VGG_ROWS)
    # The first convolution reads pixels: its coefficient is the formula's.
    gammas = [np.abs(values["bn1/gamma"]) for values in before]
    expected = [
        np.mean(gammas[k] / (gammas[k] + gammas[k - 1])) for k in range(n)
    ]
    np.testing.assert_allclose(callback.coefficients["conv1"], expected)
    assert list(callback.coefficients) == ["conv1", "conv2"]


def test_a_dense_after_flatten_follows_the_channel_of_each_position():
    networks = [vgg_like(flatten=True) for _ in range(2)]
    assert networks[0].get_layer("classifier").kernel.shape == (20, 3)
    assert_gamma_graft(networks, VGG_ROWS, dense={"classifier/kernel": 5})


def test_kernels_only_leaves_all_other_weights_alone():
    rows = {path: VGG_ROWS[path] for path in ("conv1/kernel", "conv2/kernel")}
    assert_gamma_graft([vgg_like() for _ in range(2)], rows, blend="kernels")


def test_in_a_residual_network_a_sum_ends_the_way_of_a_channel():
    networks = [
        models.build("resnet8", 3, (8, 8, 1), width=0.25, seed=k)
        for k in range(2)
    ]
    rows = {"stem_conv/kernel": ("stem_conv_bn", None)}
    rows |= norm_rows("stem_conv_bn")
    for stage in (1, 2, 3):
        first, second = (f"stage{stage}_block1_conv{i}" for i in (1, 2))
        # The first block reads the stem, the other two the sum before them.
        source = "stem_conv_bn" if stage == 1 else None
        rows[f"{first}/kernel"] = (f"{first}_bn", source)
        rows[f"{second}/kernel"] = (f"{second}_bn", f"{first}_bn")
        rows |= norm_rows(f"{first}_bn") | norm_rows(f"{second}_bn")
    rows["logits/kernel"] = rows["logits/bias"] = (None, None)
    assert_gamma_graft(networks, rows)


def test_a_dead_filter_is_replaced_with_all_that_reads_it():
    networks = [vgg_like() for _ in range(2)]
    reference.randomise(networks)
    gamma = networks[0].get_layer("bn1").gamma
    gamma.assign([0.0, 1.0, 1.0, 1.0])
    peer = reference.values(networks[1])
    reference.graft(GraftCallback(criterion="gamma"), networks)
    for network in networks:
        after = reference.values(network)
        np.testing.assert_array_equal(
            after["conv1/kernel"][..., 0], peer["conv1/kernel"][..., 0]
        )
        np.testing.assert_array_equal(
            after["conv2/kernel"][:, :, 0], peer["conv2/kernel"][:, :, 0]
        )
        for name in ("gamma", "beta", "moving_mean", "moving_variance"):
            assert after[f"bn1/{name}"][0] == peer[f"bn1/{name}"][0]


def test_two_networks_are_identical_after_a_graft():
    networks = [vgg_like() for _ in range(2)]
    reference.randomise(networks)
    reference.graft(GraftCallback(criterion="gamma"), networks)
    left, right = (reference.values(network) for network in networks)
    for path in left:
        np.testing.assert_allclose(left[path], right[path], atol=1e-5)


def test_retired_networks_are_passed_over():
    networks = [vgg_like() for _ in range(3)]
    reference.randomise(networks)
    before = [reference.values(network) for network in networks]
    reference.graft(
        GraftCallback(criterion="gamma"), networks, ["live", "retired", "live"]
    )
    expected = grafted_weight(
        "conv1/kernel", [before[0], before[2]], "bn1", None
    )
    for k, value in zip((0, 2), expected, strict=True):
        after = reference.values(networks[k])["conv1/kernel"]
        np.testing.assert_allclose(after, value, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(
        reference.values(networks[1])["conv1/kernel"], before[1]["conv1/kernel"]
    )


def test_a_convolution_that_feeds_several_layers_has_no_gamma(caplog):
    def preactivated():
        inputs = keras.Input((6, 6, 3))
        x = stem = layers.Conv2D(4, 1, use_bias=False, name="stem")(inputs)
        x = layers.ReLU()(layers.BatchNormalization(name="bn1")(x))
        x = layers.Conv2D(4, 1, use_bias=False, name="conv")(x)
        x = layers.Add()([stem, x])
        x = layers.ReLU()(layers.BatchNormalization(name="bn2")(x))
        x = layers.GlobalAveragePooling2D()(x)
        return keras.Model(inputs, layers.Dense(2, name="classifier")(x))

    rows = {
        "stem/kernel": (None, None),
        "conv/kernel": (None, "bn1"),
        "classifier/kernel": (None, "bn2"),
        "classifier/bias": (None, None),
        **norm_rows("bn1"),
        **norm_rows("bn2"),
    }
    with caplog.at_level(logging.WARNING):
        assert_gamma_graft([preactivated() for _ in range(2)], rows)
    assert [message.split("'")[1] for message in caplog.messages] == [
        "stem",
        "conv",
    ]
    assert "No BatchNormalization with gammas takes 'stem' alone" in caplog.text


def test_a_nested_model_is_entered():
    def nested():
        inner = keras.Sequential(
            [
                keras.Input((6, 6, 4)),
                layers.BatchNormalization(name="bn1"),
                layers.Conv2D(3, 3, use_bias=False, name="conv2"),
                layers.BatchNormalization(name="bn2"),
            ]
        )
        inputs = keras.Input((6, 6, 2))
        x = layers.Conv2D(4, 1, use_bias=False, name="conv1")(inputs)
        x = layers.GlobalAveragePooling2D()(inner(x))
        return keras.Model(inputs, layers.Dense(2, name="classifier")(x))

    rows = {
        path: row for path, row in VGG_ROWS.items() if "conv" not in path
    } | {
        "conv1/kernel": ("bn1", None),
        "conv2/kernel": ("bn2", "bn1"),
    }
    assert_gamma_graft([nested() for _ in range(2)], rows)


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.conv1 = layers.Conv2D(4, 1, use_bias=False, name="conv1")
        self.bn1 = layers.BatchNormalization(name="bn1")
        self.conv2 = layers.Conv2D(3, 1, use_bias=False, name="conv2")
        self.bn2 = layers.BatchNormalization(name="bn2")

    def call(self, x):
        return self.bn2(self.conv2(self.bn1(self.conv1(x))))


def test_a_subclassed_network_knows_no_channels_that_are_read(caplog):
    networks = [Subclassed() for _ in range(2)]
    for network in networks:
        network(np.zeros((1, 4, 4, 2), "float32"))
    rows = {
        "conv1/kernel": ("bn1", None),
        "conv2/kernel": ("bn2", None),
        **norm_rows("bn1"),
        **norm_rows("bn2"),
    }
    with caplog.at_level(logging.WARNING):
        assert_gamma_graft(networks, rows)
    assert "by the first BatchNormalization created after it" in caplog.text


def test_networks_without_gammas_are_refused():
    def plain():
        return keras.Sequential(
            [
                keras.Input((6, 6, 2)),
                layers.Conv2D(3, 3),
                layers.BatchNormalization(scale=False),
            ]
        )

    with pytest.raises(ValueError, match="feeds one that has gammas. Use"):
        reference.graft(
            GraftCallback(criterion="gamma"), [plain() for _ in range(2)]
        )


@pytest.mark.parametrize(
    "argument", [{"amplitude": 0.2}, {"slope": 5.0}, {"num_bins": 20}]
)
def test_arguments_of_the_other_criteria_are_refused(argument):
    name = next(iter(argument))
    with pytest.raises(
        ValueError, match=f"`{name}` has no meaning with criterion='gamma'"
    ):
        GraftCallback(criterion="gamma", **argument)


def test_a_convolution_called_twice_has_no_gamma_of_its_own():
    def network():
        inputs = keras.Input((6, 6, 4))
        conv = layers.Conv2D(4, 1, use_bias=False, name="conv")
        x = layers.BatchNormalization(name="bn1")(inputs)
        x = layers.BatchNormalization(name="bn2")(conv(x))
        x = layers.BatchNormalization(name="bn3")(conv(x))
        x = layers.Conv2D(4, 1, use_bias=False, name="last")(x)
        x = layers.BatchNormalization(name="bn4")(x)
        return keras.Model(inputs, layers.GlobalAveragePooling2D()(x))

    rows = {"conv/kernel": (None, None), "last/kernel": ("bn4", "bn3")}
    for norm in ("bn1", "bn2", "bn3", "bn4"):
        rows |= norm_rows(norm)
    assert_gamma_graft([network() for _ in range(2)], rows)
