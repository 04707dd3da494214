"""`GraftCallback`: the ring, when it grafts, and what it says."""

import types

import graft_reference as reference
import keras
import numpy as np
import pytest
import tensorflow as tf
from builders import conv_classifier

from keras_graft.grafting import GraftCallback
from keras_graft.optimizers.moving_averages import averages_of


def random_networks(n, seed=0):
    networks = [conv_classifier() for _ in range(n)]
    reference.randomise(networks, seed)
    return networks


def assert_same(left, right):
    for path in left:
        np.testing.assert_array_equal(left[path], right[path], err_msg=path)


def kernel_of(of_network):
    return of_network.get_layer("conv").kernel.numpy()


# The ring.


@pytest.mark.parametrize("n", [2, 3, 5])
@pytest.mark.parametrize(
    "arguments, settings",
    [
        ({}, {}),
        ({"amplitude": 1.0, "slope": 500.0}, {"amplitude": 1.0, "slope": 500}),
        ({"amplitude": 0.0}, {"amplitude": 0.0}),
        (
            {"num_bins": 4},
            {"information": lambda kernel: reference.entropy(kernel, 4)},
        ),
        (
            {"criterion": "l1", "slope": 0.05},
            {"information": reference.l1, "slope": 0.05},
        ),
    ],
    ids=["defaults", "strong", "averaging", "bins", "l1"],
)
def test_a_graft_equals_numpy(n, arguments, settings):
    governors = dict.fromkeys(
        reference.values(conv_classifier()), "conv/kernel"
    )
    reference.assert_graft(
        [conv_classifier() for _ in range(n)],
        governors,
        GraftCallback(**arguments),
        **settings,
    )


def test_amplitude_zero_is_plain_averaging():
    networks = random_networks(2)
    before = [reference.values(k) for k in networks]
    reference.graft(GraftCallback(amplitude=0.0), networks)
    for k in networks:
        for path, after in reference.values(k).items():
            mean = (before[0][path] + before[1][path]) / 2
            np.testing.assert_allclose(after, mean, rtol=1e-6, atol=1e-7)


def test_two_networks_are_identical_after_a_graft():
    networks = random_networks(2)
    assert np.any(kernel_of(networks[0]) != kernel_of(networks[1]))
    reference.graft(GraftCallback(), networks)
    assert_same(*map(reference.values, networks))


def test_three_networks_stay_apart():
    networks = random_networks(3)
    reference.graft(GraftCallback(), networks)
    kernels = list(map(kernel_of, networks))
    for k in range(3):
        assert np.abs(kernels[k] - kernels[k - 1]).max() > 0.1


def test_networks_receive_from_the_one_before_them():
    networks = [conv_classifier() for _ in range(5)]
    for k in networks:
        reference.randomise([k], seed=0)
    reference.randomise([networks[2]], seed=1)
    before = [reference.values(k) for k in networks]
    reference.graft(GraftCallback(), networks)
    for path in before[0]:
        changed = [
            k
            for k in range(5)
            if np.any(reference.values(networks[k])[path] != before[k][path])
        ]
        assert changed == [2, 3]


def test_one_network_is_left_alone(caplog):
    networks = random_networks(1)
    before = reference.values(networks[0])
    callback = GraftCallback()
    logs = reference.graft(callback, networks)
    assert_same(before, reference.values(networks[0]))
    assert set(logs.values()) == {1.0}
    assert callback.coefficients == {}
    assert caplog.messages == [
        "One network has no peers: grafting does nothing."
    ]


def test_networks_that_are_not_live_are_passed_over():
    networks = random_networks(4)
    before = [reference.values(k) for k in networks]
    # What a diverged network holds must reach nobody.
    broken = np.full_like(kernel_of(networks[1]), np.nan)
    networks[1].get_layer("conv").kernel.assign(broken)
    masked, retired = reference.values(networks[1]), before[3]
    status = ["live", "masked", "live", "retired"]
    reference.graft(GraftCallback(), networks, status=status)
    np.testing.assert_array_equal(kernel_of(networks[1]), broken)
    assert_same(masked, reference.values(networks[1]))
    assert_same(retired, reference.values(networks[3]))
    live = [before[0], before[2]]
    expected = reference.grafted(live, dict.fromkeys(before[0], "conv/kernel"))
    for k, position in enumerate((0, 2)):
        after = reference.values(networks[position])
        for path in after:
            np.testing.assert_allclose(
                after[path], expected[k][path], rtol=1e-5, atol=1e-6
            )


def test_the_last_live_network_is_left_alone():
    networks = random_networks(2)
    before = reference.values(networks[0])
    logs = reference.graft(GraftCallback(), networks, status=["live", "masked"])
    assert_same(before, reference.values(networks[0]))
    assert logs["graft_coefficient"] == 1.0


@pytest.mark.parametrize("source", ["internal", "noise"])
def test_filters_of_networks_that_are_not_live_are_left_alone(source):
    networks = random_networks(2)
    for k in networks:
        kernel = kernel_of(k)
        kernel[..., 0] *= 1e-3
        k.get_layer("conv").kernel.assign(kernel)
    before = [reference.values(k) for k in networks]
    reference.graft(
        GraftCallback(source=source), networks, status=["masked", "live"]
    )
    assert_same(before[0], reference.values(networks[0]))
    assert np.any(kernel_of(networks[1]) != before[1]["conv/kernel"])


def test_optimizer_slots_are_left_alone():
    networks = random_networks(2)
    optimizers = [keras.optimizers.SGD(0.1, momentum=0.9) for _ in networks]
    for optimizer, k in zip(optimizers, networks, strict=True):
        gradients = [tf.ones(v.shape) for v in k.trainable_variables]
        optimizer.apply(gradients, k.trainable_variables)
    before = [[v.numpy() for v in o.variables] for o in optimizers]
    reference.graft(GraftCallback(), networks)
    for old, optimizer in zip(before, optimizers, strict=True):
        for value, variable in zip(old, optimizer.variables, strict=True):
            np.testing.assert_array_equal(value, variable)


def test_moving_averages_take_the_coefficients_of_their_weights():
    networks = random_networks(3)
    optimizers = [keras.optimizers.SGD(0.1, use_ema=True) for _ in networks]
    averages = []
    rng = np.random.default_rng(0)
    for optimizer, k in zip(optimizers, networks, strict=True):
        optimizer.build(k.trainable_variables)
        average = averages_of(optimizer)[id(k.get_layer("conv").kernel)]
        # Another histogram than the weights have.
        average.assign(rng.uniform(size=average.shape) ** 3)
        averages.append(average)
    kernels = list(map(kernel_of, networks))
    before = [average.numpy() for average in averages]
    callback = GraftCallback()
    callback.set_model(
        types.SimpleNamespace(
            networks=networks,
            optimizer=types.SimpleNamespace(optimizers=optimizers),
        )
    )
    callback.on_train_begin()
    callback.on_epoch_begin(1)
    shares = reference.coefficients(kernels)
    np.testing.assert_allclose(callback.coefficients["conv"], shares)
    for k, share in enumerate(shares):
        np.testing.assert_allclose(
            averages[k].numpy(),
            share * before[k] + (1 - share) * before[k - 1],
            rtol=1e-5,
        )


# When.


@pytest.mark.parametrize(
    "arguments, epochs",
    [
        ({}, [1, 2, 3, 4, 5, 6, 7]),
        ({"start": 0}, [0, 1, 2, 3, 4, 5, 6, 7]),
        ({"every": 3}, [1, 4, 7]),
        ({"every": 2, "start": 3}, [3, 5, 7]),
        ({"every": 2, "start": 2, "stop": 6}, [2, 4]),
        ({"start": 2, "stop": 3}, [2]),
        ({"start": 9}, []),
    ],
)
def test_epochs_that_begin_with_a_graft(arguments, epochs):
    networks = random_networks(2)
    callback = GraftCallback(**arguments)
    callback.set_model(types.SimpleNamespace(networks=networks))
    callback.on_train_begin()
    grafted = []
    for epoch in range(8):
        reference.randomise(networks, epoch)
        before = kernel_of(networks[0])
        callback.on_epoch_begin(epoch)
        if np.any(kernel_of(networks[0]) != before):
            grafted.append(epoch)
        callback.on_epoch_end(epoch, {})
    assert grafted == epochs
    assert [e for e in range(8) if callback.is_due(e)] == epochs


def test_logs_are_the_coefficients_of_the_epochs_graft():
    networks = random_networks(3)
    before = [reference.values(k) for k in networks]
    callback = GraftCallback()
    logs = reference.graft(callback, networks, epoch=1)
    expected = reference.coefficients([b["conv/kernel"] for b in before])
    assert list(callback.coefficients) == ["conv"]
    np.testing.assert_allclose(callback.coefficients["conv"], expected)
    assert logs == {
        "graft_coefficient": pytest.approx(np.mean(expected)),
        "graft_coefficient_min": pytest.approx(min(expected)),
        "graft_coefficient_max": pytest.approx(max(expected)),
    }


def test_logs_are_one_in_an_epoch_without_a_graft():
    networks = random_networks(2)
    callback = GraftCallback(every=2)
    reference.graft(callback, networks, epoch=1)
    assert callback.coefficients
    logs = reference.graft(callback, networks, epoch=2)
    assert logs == {
        "graft_coefficient": 1.0,
        "graft_coefficient_min": 1.0,
        "graft_coefficient_max": 1.0,
    }
    assert callback.coefficients == {}


class Pair(keras.Model):
    """Any model with a list `networks` can be grafted."""

    def __init__(self, networks):
        super().__init__()
        self.networks = networks
        self.traces = 0

    def call(self, x):
        self.traces += 1
        return sum(k(x) for k in self.networks)


def test_fit_grafts_before_the_epoch_without_retracing():
    pair = Pair(random_networks(2))
    # No step moves a weight, so that only the graft can.
    pair.compile(keras.optimizers.SGD(0.0), "mse")
    callback = GraftCallback(blend="kernels", start=2)
    kernels, traces = [], []

    class Spy(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            kernels.append(kernel_of(pair.networks[0]))

        def on_epoch_end(self, epoch, logs=None):
            traces.append(pair.traces)

    x, y = np.zeros((4, 6, 6, 2), "float32"), np.zeros((4, 3), "float32")
    history = pair.fit(
        x, y, epochs=3, verbose=0, callbacks=[callback, Spy()]
    ).history
    np.testing.assert_array_equal(kernels[0], kernels[1])
    assert np.any(kernels[1] != kernels[2])
    assert traces[0] == traces[2]
    found = history["graft_coefficient_max"]
    assert found[:2] == [1.0, 1.0] and 0.5 < found[2] < 1


def test_every_replica_holds_the_grafted_weights(two_replicas):
    strategy = two_replicas
    with strategy.scope():
        networks = [conv_classifier() for _ in range(3)]
    governors = dict.fromkeys(reference.values(networks[0]), "conv/kernel")
    reference.assert_graft(networks, governors, GraftCallback())
    for k in networks:
        for variable in k.weights:
            first, second = variable.value.values
            np.testing.assert_array_equal(first, second)
