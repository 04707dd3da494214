"""The graft, weight by weight in NumPy, written from the paper."""

import math
import types

import numpy as np

from keras_graft.grafting import GraftCallback

# Networks that `assert_block` grafts.
N = 3
UNTOUCHED = "untouched"


def entropy(kernel, num_bins=10):
    weights = np.asarray(kernel, "float64").ravel()
    low, high = weights.min(), weights.max()
    if low == high:
        return 0.0
    counts = [0] * num_bins
    for w in weights:
        number = math.floor((w - low) / (high - low) * num_bins)
        counts[min(number, num_bins - 1)] += 1
    shares = [count / len(weights) for count in counts if count]
    return -sum(share * math.log(share) for share in shares)


def l1(kernel):
    return float(np.abs(np.asarray(kernel, "float64")).sum())


def coefficients(kernels, information=entropy, amplitude=0.4, slope=10.0):
    """The share that each network keeps; network k receives from k - 1."""
    held = [information(kernel) for kernel in kernels]
    return [
        amplitude / math.pi * math.atan(slope * (held[k] - held[k - 1])) + 0.5
        for k in range(len(held))
    ]


def grafted(before, governors, **settings):
    """What networks hold after a graft.

    Args:
        before: For each network a dict from a weight's path to its value.
        governors: From each path to the path of the kernel whose coefficient
            it takes, to None for one half, or to UNTOUCHED.
        **settings: As for `coefficients`.
    """
    assert set(before[0]) == set(governors)
    after = [{} for _ in before]
    for path, governor in governors.items():
        if governor is None:
            share = [0.5] * len(before)
        elif governor != UNTOUCHED:
            share = coefficients([b[governor] for b in before], **settings)
        for k in range(len(before)):
            own, peer = before[k][path], before[k - 1][path]
            if governor == UNTOUCHED:
                after[k][path] = own
            else:
                after[k][path] = share[k] * own + (1 - share[k]) * peer
    return after


def path_of(variable):
    """The layer's name and the weight's, such as `conv/kernel`."""
    return "/".join(variable.path.split("/")[-2:])


def values(network):
    """From each weight's path to its value."""
    found = {path_of(v): v.numpy() for v in network.weights}
    assert len(found) == len(network.weights)
    return found


def randomise(networks, seed=0):
    """Gives every float weight random values of its own shape of tail."""
    rng = np.random.default_rng(seed)
    for network in networks:
        for variable in network.weights:
            if "float" in str(variable.dtype):
                # A power changes the histogram, and so the entropy.
                noise = rng.normal(size=variable.shape)
                power = rng.uniform(0.5, 3)
                value = np.sign(noise) * np.abs(noise) ** power
                if "variance" in variable.name:
                    value = np.abs(value)
                variable.assign(value)


def graft(callback, networks, status=None, epoch=1):
    """What `fit` does before an epoch; returns the epoch's logs."""
    model = types.SimpleNamespace(networks=list(networks))
    if status is not None:
        model.status = status
    callback.set_model(model)
    callback.on_train_begin()
    callback.on_epoch_begin(epoch)
    logs = {}
    callback.on_epoch_end(epoch, logs)
    return logs


def assert_graft(networks, governors, callback, **settings):
    """Grafts random networks and compares every weight with NumPy."""
    randomise(networks)
    before = [values(network) for network in networks]
    graft(callback, networks)
    expected = grafted(before, governors, **settings)
    for k, network in enumerate(networks):
        after = values(network)
        for path in governors:
            np.testing.assert_allclose(
                after[path],
                expected[k][path],
                rtol=1e-5,
                atol=1e-6,
                err_msg=f"network {k}: {path}",
            )
            if governors[path] == UNTOUCHED:
                np.testing.assert_array_equal(after[path], before[k][path])


def assert_block(make, governors):
    assert_graft([make() for _ in range(N)], governors, GraftCallback())


def assert_kernels(make, governors, kernels):
    """The same with blend="kernels": all else stays as it is."""
    only = {path: path if path in kernels else UNTOUCHED for path in governors}
    callback = GraftCallback(blend="kernels")
    assert_graft([make() for _ in range(N)], only, callback)


def norm_governors(path, kernel):
    names = ("gamma", "beta", "moving_mean", "moving_variance")
    return {f"{path}/{name}": kernel for name in names}


def dense_governors(path, kernel):
    return {f"{path}/kernel": kernel, f"{path}/bias": kernel}


def conv_governors(path):
    return {f"{path}/{name}": f"{path}/kernel" for name in ("kernel", "bias")}


def separable_governors(path):
    depthwise = f"{path}/depthwise_kernel"
    pointwise = f"{path}/pointwise_kernel"
    return {
        depthwise: depthwise,
        pointwise: pointwise,
        # Its last kernel governs the rest.
        f"{path}/bias": pointwise,
    }
