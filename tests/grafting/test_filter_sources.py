import graft_reference as reference
import keras
import numpy as np
import pytest
from keras import layers

from keras_graft.grafting import GraftCallback
from keras_graft.grafting.filter_sources import internal_graft
from keras_graft.grafting.filter_sources import noise_graft

# Filter axes -> the filters of a kernel of shape (2, 3, 4, 5), as indices.
FILTERS = {
    (-1,): [(slice(None),) * 3 + (j,) for j in range(5)],
    (-2,): [(slice(None), slice(None), j) for j in range(4)],
    (-2, -1): [
        (slice(None), slice(None), c, m) for c in range(4) for m in range(5)
    ],
}


def kernel_with_norms(index, norms, seed=0):
    """A kernel whose filters have the given l1 norms."""
    kernel = np.random.default_rng(seed).normal(size=(2, 3, 4, 5))
    for place, norm in zip(index, norms, strict=True):
        kernel[place] *= norm / np.abs(kernel[place]).sum()
    return kernel.astype("float32")


def some_norms(count, invalid):
    """Distinct norms in no order, `invalid` of them below 0.1."""
    rng = np.random.default_rng(count)
    small = np.linspace(0.01, 0.08, invalid)
    large = np.linspace(0.5, 3.0, count - invalid)
    return rng.permutation(np.concatenate([small, large]))


def internally_grafted(kernel, index, threshold):
    """The i-th largest filter is added to the i-th smallest one."""
    norms = [np.abs(kernel[place]).sum() for place in index]
    order = sorted(range(len(index)), key=lambda j: norms[j])
    result = kernel.copy()
    for i, small in enumerate(order):
        if norms[small] < threshold:
            result[index[small]] += kernel[index[order[-1 - i]]]
    return result


@pytest.mark.parametrize("axes", FILTERS)
@pytest.mark.parametrize("invalid", [0, 1, 2, 4])
def test_internal_adds_the_largest_filters_to_the_invalid_ones(axes, invalid):
    index = FILTERS[axes]
    kernel = kernel_with_norms(index, some_norms(len(index), invalid))
    before = kernel.copy()
    found = internal_graft(kernel, axes, 0.1)
    expected = internally_grafted(before, index, 0.1)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_array_equal(kernel, before)
    changed = [np.any(found[place] != before[place]) for place in index]
    assert sum(changed) == invalid


@pytest.mark.parametrize("axes", FILTERS)
def test_noise_is_added_to_invalid_filters_only(axes):
    index = FILTERS[axes]
    norms = some_norms(len(index), 2)
    kernel = kernel_with_norms(index, norms)
    found = noise_graft(kernel, axes, 0.1, 0.5, np.random.default_rng([4, 2]))
    noise = np.random.default_rng([4, 2])
    for place, norm in zip(index, norms, strict=True):
        expected = kernel[place]
        if norm < 0.1:
            drawn = noise.standard_normal(expected.size, dtype="float32")
            expected = expected + 0.5 * drawn.reshape(expected.shape)
        np.testing.assert_allclose(found[place], expected, rtol=1e-6)


# The same on Keras layers, through the callback.


def filters_of(layer):
    """(weight's name, how to index its j-th filter, how many) of a layer."""

    def last(kernel):
        return [(..., j) for j in range(kernel.shape[-1])]

    def channel_and_multiplier(kernel):
        return [
            (..., c, m)
            for c in range(kernel.shape[-2])
            for m in range(kernel.shape[-1])
        ]

    if isinstance(layer, layers.Conv2DTranspose):
        return {
            "kernel": lambda k: [
                (..., j, slice(None)) for j in range(k.shape[-2])
            ]
        }
    if isinstance(layer, layers.DepthwiseConv2D):
        return {"kernel": channel_and_multiplier}
    if isinstance(layer, layers.SeparableConv2D):
        return {
            "depthwise_kernel": channel_and_multiplier,
            "pointwise_kernel": last,
        }
    return {"kernel": last}


def make_layer(kind):
    return {
        "conv": lambda: layers.Conv2D(6, 3),
        "grouped": lambda: layers.Conv2D(6, 3, groups=2),
        "transposed": lambda: layers.Conv2DTranspose(6, 3),
        "depthwise": lambda: layers.DepthwiseConv2D(3, depth_multiplier=2),
        "separable": lambda: layers.SeparableConv2D(6, 3, depth_multiplier=2),
    }[kind]()


KINDS = ("conv", "grouped", "transposed", "depthwise", "separable")


def network_with_invalid_filters(kind, seed):
    network = keras.Sequential(
        [keras.Input((6, 6, 4)), make_layer(kind), layers.BatchNormalization()]
    )
    reference.randomise([network], seed)
    layer = network.layers[0]
    for name, index in filters_of(layer).items():
        variable = getattr(layer, name)
        kernel = variable.numpy()
        for norm, place in zip((0.06, 0.03), index(kernel)[1:3], strict=True):
            kernel[place] *= norm / np.abs(kernel[place]).sum()
        variable.assign(kernel)
    return network


@pytest.mark.parametrize("kind", KINDS)
def test_internal_grafts_each_layer_along_its_own_filters(kind):
    networks = [network_with_invalid_filters(kind, seed) for seed in (0, 1)]
    before = [reference.values(network) for network in networks]
    reference.graft(GraftCallback(source="internal"), networks)
    for network, old in zip(networks, before, strict=True):
        layer = network.layers[0]
        index = filters_of(layer)
        for variable in network.weights:
            expected = old[reference.path_of(variable)]
            if variable.name in index:
                expected = internally_grafted(
                    expected, index[variable.name](expected), 0.1
                )
                assert np.any(expected != old[reference.path_of(variable)])
            np.testing.assert_allclose(variable, expected, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_noise_changes_each_layers_own_invalid_filters(kind):
    network = network_with_invalid_filters(kind, 0)
    before = reference.values(network)
    reference.graft(GraftCallback(source="noise"), [network])
    index = filters_of(network.layers[0])
    for variable in network.weights:
        after, old = variable.numpy(), before[reference.path_of(variable)]
        places = index.get(variable.name, lambda k: [...])(old)
        changed = [bool(np.any(after[p] != old[p])) for p in places]
        expected = [
            variable.name in index and bool(np.abs(old[p]).sum() < 0.1)
            for p in places
        ]
        assert changed == expected
        assert any(changed) or variable.name not in index


def zero_network(filters=64):
    return keras.Sequential(
        [
            keras.Input((6, 6, 16)),
            layers.Conv2D(filters, 3, kernel_initializer="zeros"),
        ]
    )


def noise_at(epoch, **arguments):
    networks = [zero_network(), zero_network()]
    callback = GraftCallback(source="noise", **arguments)
    reference.graft(callback, networks, epoch=epoch)
    return [network.layers[0].kernel.numpy() for network in networks]


def test_the_noise_of_an_epoch_has_the_paper_s_standard_deviation():
    for epoch in (1, 40):
        for kernel in noise_at(epoch):
            assert kernel.std() == pytest.approx(0.975**epoch, rel=0.03)
            assert abs(kernel.mean()) < 0.05
    assert noise_at(2, decay=0.5)[0].std() == pytest.approx(0.25, rel=0.03)


def test_noise_repeats_for_an_epoch_and_differs_between_places():
    first, second = noise_at(3)
    again, _ = noise_at(3)
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - second).mean() > 0.5
    later = noise_at(4)[0]
    assert np.abs(first - later).mean() > 0.5


def test_filters_at_the_threshold_are_valid():
    network = zero_network(filters=2)
    kernel = np.zeros((3, 3, 16, 2), "float32")
    kernel[0, 0, 0] = [0.5, 0.25]
    network.layers[0].kernel.assign(kernel)
    callback = GraftCallback(source="internal", threshold=0.5)
    reference.graft(callback, [network])
    after = network.layers[0].kernel.numpy()
    np.testing.assert_array_equal(after[0, 0, 0], [0.5, 0.75])
    assert np.count_nonzero(after) == 2
