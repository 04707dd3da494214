"""The criterion `gamma`: filter by filter, by the scale of its BatchNorm."""

import dataclasses
import functools
from collections.abc import Callable
from collections.abc import Sequence

import keras
import numpy as np

from keras_graft.grafting.external import graft_ring
from keras_graft.grafting.graft_plan import GraftPlan
from keras_graft.grafting.graft_plan import write
from keras_graft.structure.channel_norms import ChannelNorms
from keras_graft.structure.channel_norms import channel_norms
from keras_graft.structure.conv_layers import ConvKernel
from keras_graft.structure.conv_layers import conv_kernels
from keras_graft.structure.conv_layers import leaf_layers
from keras_graft.structure.conv_layers import own_variables


def gamma_coefficient(own: np.ndarray, peer: np.ndarray) -> np.ndarray:
    """Share of its own weights that each filter keeps in a graft.

    `own / (own + peer)`, as the reference's filter level has it (it is not
    in the papers): a channel whose gamma is 0 carries nothing, whatever its
    weights are.

    Args:
        own: Scales of the receiving network's channels, at least 0, float.
        peer: Scales of the network that gives, same shape.

    Returns:
        Array of the same shape, float64, in [0, 1]; 0.5 where both scales
        are 0 or one of them is not a finite number.
    """
    own = np.asarray(own, dtype="float64")
    total = own + np.asarray(peer, dtype="float64")
    known = np.isfinite(total) & (total > 0)
    return np.where(known, own, 0.5) / np.where(known, total, 1.0)


@dataclasses.dataclass(frozen=True)
class Scale:
    """The gammas that scale what a weight makes, or what it reads.

    Attributes:
        gammas: The vector of each of the N networks.
        spread: From a vector to an array that broadcasts to the weight.
    """

    gammas: tuple[keras.Variable, ...]
    spread: Callable[[np.ndarray], np.ndarray]


@dataclasses.dataclass(frozen=True)
class GammaScales:
    """What the gammas say of each weight of a plan.

    Attributes:
        of: For each of the plan's kernels, then of its followers, the
            scales that are multiplied; none where no gamma is known.
        unscaled: Paths of kernels that feed no BatchNormalization alone.
        has_graph: False where the order of creation stood in for a graph.
    """

    of: list[list[Scale]]
    unscaled: list[str]
    has_graph: bool


def gamma_scales(
    networks: Sequence[keras.Model], plan: GraftPlan
) -> GammaScales:
    """Finds the gammas that decide over each weight.

    Weight (j, i) of a kernel, from input channel j to filter i, is scaled by
    the gamma of filter i in the BatchNormalization after the kernel, and by
    that of channel j in the one before it, as far as they are known. So a
    filter, and the slices of the next kernels that read it, are grafted
    alike. A Dense has only the one before it, a bias only the one after it.
    The vectors of a BatchNormalization are scaled by its own gamma.

    Args:
        networks: The N networks that the plan is of.
        plan: What is grafted.

    Returns:
        The `GammaScales`.

    Raises:
        ValueError: If no kernel has a BatchNormalization with a gamma.
    """
    norms = channel_norms(networks[0])
    gammas = _gammas(networks)
    of_variable = _scales_of_kernels(networks[0], norms, gammas)
    of_variable.update(_scales_of_others(networks[0], norms, gammas))
    if not any(of_variable.get(id(s.variables[0])) for s in plan.kernels):
        raise ValueError(
            "criterion='gamma' weighs filters by the gammas of "
            "BatchNormalization, and no convolution of these networks feeds "
            "one that has gammas. Use criterion='entropy'."
        )
    sites = [*plan.kernels, *plan.followers]
    return GammaScales(
        [of_variable.get(id(site.variables[0]), []) for site in sites],
        [
            kernel.path
            for kernel in conv_kernels(networks[0])[0]
            if id(kernel.layer) not in norms.after
        ],
        norms.has_graph,
    )


def graft_gamma(
    plan: GraftPlan, scales: GammaScales, live: Sequence[int]
) -> dict[str, list[float]]:
    """Grafts every weight of the live networks around their ring.

    Args:
        plan: What to graft.
        scales: Its `gamma_scales`.
        live: Positions of the networks that take part; the others are passed
            over and left as they are.

    Returns:
        For each kernel's path the coefficient of each live network, mean
        over the kernel's weights.
    """
    # Read before any is written: gammas are grafted too.
    of_network = [
        [
            [
                scale.spread(np.abs(_read(scale.gammas[k], "float64")))
                for scale in of_site
            ]
            for of_site in scales.of
        ]
        for k in live
    ]
    coefficients = {}
    for i, site in enumerate([*plan.kernels, *plan.followers]):
        of_site = site.read(live)
        # The shares are float64, and so is the sum.
        values = [value.astype("float64") for value in of_site]
        held = [_product(factors[i]) for factors in of_network]
        shares = [
            np.broadcast_to(gamma_coefficient(held[n], held[n - 1]), v.shape)
            for n, v in enumerate(values)
        ]
        if i < len(plan.kernels):
            coefficients[site.path] = [float(np.mean(s)) for s in shares]
        grafted = graft_ring(values, shares)
        write(site, live, [g.astype(of_site[0].dtype) for g in grafted])
    return coefficients


def _product(factors):
    return functools.reduce(np.multiply, factors, np.ones(()))


def _read(variable, dtype):
    return keras.ops.convert_to_numpy(variable).astype(dtype)


def _gammas(networks):
    """From the `id` of a layer of the first network to all its gammas."""
    walks = [
        [layer for _, layer in leaf_layers(network) if own_variables(layer)]
        for network in networks
    ]
    return {
        id(aligned[0]): tuple(layer.gamma for layer in aligned)
        for aligned in zip(*walks, strict=True)
        if isinstance(aligned[0], keras.layers.BatchNormalization)
    }


def _scales_of_kernels(network, norms: ChannelNorms, gammas):
    found = {}
    for kernel in conv_kernels(network)[0]:
        after, before = _sides(kernel, norms)
        shape = tuple(kernel.variable.shape)
        scales = []
        if after is not None:
            spread = functools.partial(
                _to_filters, shape=shape, filter_axes=kernel.filter_axes
            )
            scales.append(Scale(gammas[id(after)], spread))
        if before is not None:
            spread = functools.partial(
                _to_inputs,
                shape=shape,
                filter_axes=kernel.filter_axes,
                groups=getattr(kernel.layer, "groups", 1),
            )
            scales.append(Scale(gammas[id(before)], spread))
        found[id(kernel.variable)] = scales
    return found


def _sides(kernel: ConvKernel, norms: ChannelNorms):
    after = norms.after.get(id(kernel.layer))
    before = norms.before.get(id(kernel.layer))
    # A separable convolution has nothing between its two kernels.
    if kernel.attribute == "depthwise_kernel":
        after = None
    if kernel.attribute == "pointwise_kernel":
        before = None
    return after, before


def _scales_of_others(network, norms: ChannelNorms, gammas):
    found = {}
    for _, layer in leaf_layers(network):
        if isinstance(layer, keras.layers.BatchNormalization):
            if layer.gamma is not None:
                scale = Scale(gammas[id(layer)], np.asarray)
                found.update({id(v): [scale] for v in own_variables(layer)})
        elif id(layer) in norms.after and layer.bias is not None:
            after = gammas[id(norms.after[id(layer)])]
            found[id(layer.bias)] = [Scale(after, np.asarray)]
        elif isinstance(layer, keras.layers.Dense) and id(layer) in (
            norms.before
        ):
            before = gammas[id(norms.before[id(layer)])]
            spread = functools.partial(_to_units, units=layer.kernel.shape[0])
            found[id(layer.kernel)] = [Scale(before, spread)]
    return found


def _to_filters(gamma, shape, filter_axes):
    """Lays gammas along the filter axes of a kernel."""
    axes = {axis % len(shape) for axis in filter_axes}
    return gamma.reshape(
        [size if axis in axes else 1 for axis, size in enumerate(shape)]
    )


def _to_inputs(gamma, shape, filter_axes, groups):
    """Lays gammas along the input channels of a kernel."""
    if filter_axes == (-2, -1):  # Depthwise: (*window, channels, multiplier).
        return gamma[:, None]
    if filter_axes == (-2,):  # Transposed: (*window, filters, channels).
        return gamma
    # Every group of filters reads its own group of channels.
    by_group = gamma.reshape(groups, -1).T
    return np.repeat(by_group, shape[-1] // groups, axis=1)


def _to_units(gamma, units):
    """Lays gammas along the rows of a Dense after pooling or Flatten."""
    # Channels come last, so a Flatten repeats them for every position.
    return np.tile(gamma, units // len(gamma))[:, None]
