"""Gentle grafts against NumPy, and what a `fit` with them shows."""

import types

import graft_reference as reference
import keras
import numpy as np
import pytest
import tensorflow as tf
from builders import conv_classifier
from keras import layers

from keras_graft.grafting import GraftCallback
from keras_graft.optimizers.moving_averages import averages_of

# Steps of an epoch, which moves every ten steps do not divide: those of the
# epoch 1 come before its steps 5 and 15, as the 3rd and 4th of the run.
STEPS = 25


def moved(networks, callback, status=None, epoch=1, **model):
    """Does what `fit` does in an epoch of STEPS steps; returns its logs."""
    model = types.SimpleNamespace(networks=networks, **model)
    if status is not None:
        model.status = status
    callback.set_model(model)
    callback.set_params({"steps": STEPS})
    callback.on_train_begin()
    callback.on_epoch_begin(epoch)
    for batch in range(STEPS):
        callback.on_train_batch_begin(batch)
    logs = {}
    callback.on_epoch_end(epoch, logs)
    return logs


def random_networks(n, seed=0, make=conv_classifier):
    networks = [make() for _ in range(n)]
    reference.randomise(networks, seed)
    return networks


def kernel_of(network):
    return network.get_layer("conv").kernel.numpy()


def assert_close(network, expected):
    for path, after in reference.values(network).items():
        np.testing.assert_allclose(
            after, expected[path], rtol=1e-4, atol=1e-6, err_msg=path
        )


def assert_same(network, before):
    for path, after in reference.values(network).items():
        np.testing.assert_array_equal(after, before[path], err_msg=path)


def to_peers(before, share, moves=2):
    """Ten lines of NumPy: coefficients once, then moves towards the blend."""
    kernels = [b["conv/kernel"] for b in before]
    keep = reference.coefficients(kernels)
    for _ in range(moves):
        before = [
            {
                path: own[path]
                + share * (1 - keep[k]) * (before[k - 1][path] - own[path])
                for path in own
            }
            for k, own in enumerate(before)
        ]
    return before


def to_mean(before, share, moves=2):
    for _ in range(moves):
        mean = {p: np.mean([b[p] for b in before], 0) for p in before[0]}
        before = [
            {p: b[p] + share * (mean[p] - b[p]) for p in b} for b in before
        ]
    return before


def share_of(half_life):
    return 1 - 0.5 ** (10 / (half_life * STEPS))


# Values.


@pytest.mark.parametrize("n", [2, 3, 4])
@pytest.mark.parametrize(
    "target, expected", [("peer", to_peers), ("mean", to_mean)]
)
def test_a_pull_equals_numpy(n, target, expected):
    networks = random_networks(n)
    before = [reference.values(k) for k in networks]
    callback = GraftCallback(half_life=0.5, target=target)
    logs = moved(networks, callback)
    for k, after in enumerate(expected(before, share_of(0.5))):
        assert_close(networks[k], after)
    keep = [1 / n] * n
    if target == "peer":
        keep = reference.coefficients([b["conv/kernel"] for b in before])
    assert logs["graft_coefficient"] == pytest.approx(np.mean(keep))
    assert logs["graft_coefficient_max"] == pytest.approx(max(keep))


@pytest.mark.parametrize("n", [2, 3, 4])
def test_an_exchange_equals_numpy(n):
    networks = random_networks(n)
    before = [reference.values(k) for k in networks]
    callback = GraftCallback(source="exchange", share=0.3, seed=7)
    logs = moved(networks, callback)
    sizes = [72, 4, 4, 12, 3]  # kernels first; the channels of bn are one
    for number in (3, 4):
        draws = tf.random.stateless_uniform([sum(sizes)], [7, number]) < 0.3
        kernel, bias, bn, dense, last = np.split(draws, np.cumsum(sizes)[:-1])
        go = {
            "conv/kernel": kernel.reshape(3, 3, 2, 4),
            "conv/bias": bias,
            "classifier/kernel": dense.reshape(4, 3),
            "classifier/bias": last,
            **{path: bn for path in before[0] if path.startswith("bn/")},
        }
        before = [
            {p: np.where(go[p], before[k - 1][p], before[k][p]) for p in go}
            for k in range(n)
        ]
    for k in range(n):
        assert_same(networks[k], before[k])
    assert logs["graft_coefficient"] == pytest.approx(0.7)


@pytest.mark.parametrize(
    "arguments",
    [
        {"half_life": 0.5},
        {"half_life": 0.5, "target": "mean"},
        {"source": "exchange", "share": 0.3},
    ],
    ids=["peer", "mean", "exchange"],
)
def test_networks_that_are_not_live_are_passed_over(arguments):
    networks, alone = random_networks(4), random_networks(4)
    for network in (networks[1], networks[3]):
        kernel = network.get_layer("conv").kernel
        kernel.assign(np.full(kernel.shape, np.nan))
    broken = reference.values(networks[1])
    status = ["live", "masked", "live", "retired"]
    moved(networks, GraftCallback(**arguments), status)
    moved([alone[0], alone[2]], GraftCallback(**arguments))
    assert_close(networks[0], reference.values(alone[0]))
    assert_close(networks[2], reference.values(alone[2]))
    assert_same(networks[1], broken)
    # The last one is left alone.
    before = reference.values(networks[0])
    status = ["live", "masked", "masked", "retired"]
    logs = moved(networks, GraftCallback(**arguments), status)
    assert_same(networks[0], before)
    assert logs["graft_coefficient"] == 1.0


def test_what_is_masked_within_an_epoch_is_passed_over_from_then_on():
    networks = random_networks(3)
    kernel = networks[1].get_layer("conv").kernel
    live = [1.0, 1.0, 1.0]
    health = types.SimpleNamespace(
        live=lambda: tf.constant(live), heal_masked=lambda: None
    )
    model = types.SimpleNamespace(networks=networks, health=health)
    for target in ("peer", "mean"):
        callback = GraftCallback(half_life=0.5, target=target)
        callback.set_model(model)
        callback.set_params({"steps": STEPS})
        live[1] = 1.0
        kernel.assign(np.ones(kernel.shape))
        callback.on_train_begin()
        callback.on_epoch_begin(1)
        kernel.assign(np.full(kernel.shape, np.nan))
        live[1] = 0.0
        for batch in range(STEPS):
            callback.on_train_batch_begin(batch)
        for k in (0, 2):
            assert np.isfinite(networks[k].get_layer("conv").kernel).all()
        assert np.isnan(kernel).all()


@pytest.mark.parametrize(
    "dtype, precision",
    [("float16", 4e-3), ("bfloat16", 3e-2), ("float64", 1e-6)],
)
def test_weights_of_any_precision_keep_it(dtype, precision):
    def make():
        conv = layers.Conv2D(
            3, 3, dtype=dtype, name="conv", kernel_constraint="non_neg"
        )
        return keras.Sequential([keras.Input((6, 6, 2)), conv])

    networks = random_networks(2, make=make)
    found = [k.get_layer("conv").kernel.numpy() for k in networks]
    found = [kernel.astype("float64") for kernel in found]
    moved(networks, GraftCallback(half_life=0.5, target="mean"))
    for _ in range(2):
        mean = np.mean(found, 0)
        found = [np.maximum(b + share_of(0.5) * (mean - b), 0) for b in found]
    for network, expected in zip(networks, found, strict=True):
        kernel = network.get_layer("conv").kernel.numpy()
        assert str(kernel.dtype) == dtype
        np.testing.assert_allclose(
            kernel.astype("float64"), expected, rtol=precision, atol=precision
        )


def test_moving_averages_move_with_their_weights():
    for arguments in (
        {"half_life": 0.5},
        {"source": "exchange", "share": 0.3},
    ):
        networks = random_networks(2)
        optimizers = [keras.optimizers.SGD(0.1, use_ema=True) for _ in range(2)]
        for optimizer, network in zip(optimizers, networks, strict=True):
            optimizer.build(network.trainable_variables)
            averages = averages_of(optimizer)
            for variable in network.trainable_variables:
                averages[id(variable)].assign(variable)
        optimizer = types.SimpleNamespace(optimizers=optimizers)
        before = reference.values(networks[0])
        moved(networks, GraftCallback(**arguments), optimizer=optimizer)
        for optimizer, network in zip(optimizers, networks, strict=True):
            averages = averages_of(optimizer)
            for variable in network.trainable_variables:
                np.testing.assert_array_equal(averages[id(variable)], variable)
        kernel = networks[0].get_layer("conv").kernel
        assert np.any(kernel != before["conv/kernel"])


def test_frozen_layers_and_blend_are_minded():
    networks = random_networks(2)
    before = [reference.values(k) for k in networks]
    for network in networks:
        network.get_layer("classifier").trainable = False
    moved(networks, GraftCallback(half_life=0.5))
    after = reference.values(networks[0])
    for path, value in after.items():
        same = np.array_equal(value, before[0][path])
        assert same == path.startswith("classifier")
    networks = random_networks(2)
    callback = GraftCallback(source="exchange", share=0.5, blend="kernels")
    moved(networks, callback)
    after = reference.values(networks[0])
    changed = [p for p, v in after.items() if np.any(v != before[0][p])]
    assert changed == ["conv/kernel"]


def test_a_move_is_made_once_where_two_epochs_meet():
    # 25 steps, two on end: a move comes before the 24th step of the run, and
    # the next look is only one step later.
    networks = random_networks(2)
    before = [kernel_of(network) for network in networks]
    callback = GraftCallback(
        half_life=0.5, every_steps=12, target="mean", start=0
    )
    callback.set_model(
        types.SimpleNamespace(networks=networks, steps_per_execution=2)
    )
    callback.set_params({"steps": STEPS})
    callback.on_train_begin()
    for epoch in range(2):
        callback.on_epoch_begin(epoch)
        for batch in range(0, STEPS, 2):
            callback.on_train_batch_begin(batch)
    after = [kernel_of(network) for network in networks]
    # Before the steps 12, 24, 36 and 48.
    left = 0.5 ** (4 * 12 / (0.5 * STEPS))
    np.testing.assert_allclose(
        after[0] - after[1], left * (before[0] - before[1]), atol=1e-6
    )


@pytest.mark.parametrize(
    "arguments",
    [
        {"half_life": 0.5, "follow_rate": True},
        {"source": "exchange", "share": 0.2},
    ],
    ids=["pull", "exchange"],
)
def test_replicas_move_as_one_device_does(two_replicas, arguments):
    found = []
    for strategy in (tf.distribute.get_strategy(), two_replicas):
        with strategy.scope():
            networks = random_networks(2)
            optimizer = keras.optimizers.SGD(0.1)
        moved(
            networks,
            GraftCallback(**arguments),
            optimizer=optimizer,
            distribute_strategy=strategy,
        )
        found.append(reference.values(networks[0]))
    assert_close(networks[0], found[0])
    copies = two_replicas.experimental_local_results(
        networks[1].get_layer("conv").kernel.value
    )
    np.testing.assert_array_equal(copies[0], copies[1])
