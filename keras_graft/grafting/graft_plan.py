"""Which weights a graft touches, aligned across the networks."""

import dataclasses
from collections.abc import Sequence

import keras
import numpy as np

from keras_graft.structure.connections import feeding_convolutions
from keras_graft.structure.conv_layers import conv_kernels
from keras_graft.structure.conv_layers import is_convolution
from keras_graft.structure.conv_layers import leaf_layers
from keras_graft.structure.conv_layers import own_variables
from keras_graft.structure.conv_layers import structure_differences
from keras_graft.structure.variable_values import set_value
from keras_graft.structure.variable_values import value_of

KERNELS = "kernels"
BLOCK = "block"
BLENDS = (KERNELS, BLOCK)


class NothingToGraftError(ValueError):
    """Networks hold no convolution kernel that is trained."""


@dataclasses.dataclass(frozen=True)
class Site:
    """One weight, in every network.

    Attributes:
        path: Name for people: the layer's path, from network 0.
        variables: The weight in each of the N networks.
        filter_axes: Axes that number its filters; empty if it is no
            convolution kernel.
        kernel: Position, among the plan's kernels, of the kernel whose
            coefficient governs this weight (of itself, for a kernel); None
            where there is none upstream.
    """

    path: str
    variables: tuple[keras.Variable, ...]
    filter_axes: tuple[int, ...]
    kernel: int | None

    def read(self, live: Sequence[int]) -> list[np.ndarray]:
        """The weight's value in some of the networks, float32 or float64."""
        return [_blendable(value_of(self.variables[k])) for k in live]


@dataclasses.dataclass(frozen=True)
class GraftPlan:
    """What a graft reads and writes.

    Attributes:
        kernels: The convolution kernels, in layer order.
        followers: The other weights; empty for `blend="kernels"`.
        skipped: Pairs (path, reason) of kernels that are left out.
        has_graph: False where the order of creation stood in for a graph.
        watched: The layers with weights, and the weights of convolutions,
            grafted or not.
        trainable: Whether each of them was trainable.
    """

    kernels: list[Site]
    followers: list[Site]
    skipped: list[tuple[str, str]]
    has_graph: bool
    watched: list[keras.layers.Layer | keras.Variable]
    trainable: list[bool]

    def is_outdated(self) -> bool:
        """Whether anything was frozen, or made trainable, since."""
        return [item.trainable for item in self.watched] != self.trainable


def graft_plan(networks: Sequence[keras.Model], blend: str) -> GraftPlan:
    """Aligns the networks' weights, layer by layer.

    Args:
        networks: N built models of one architecture.
        blend: `"kernels"` or `"block"`.

    Returns:
        The `GraftPlan`.

    Raises:
        ValueError: If architectures differ; each difference is listed.
        NothingToGraftError: If there is no kernel to graft.
    """
    differences = structure_differences(networks)
    if differences:
        raise ValueError(
            "Only networks of one architecture can be grafted. These "
            "differ:\n  " + "\n  ".join(differences)
        )
    found = [conv_kernels(network) for network in networks]
    skipped = found[0][1]
    per_network = [kernels for kernels, _ in found]
    if not per_network[0]:
        reasons = "".join(f"\n  {path}: {why}" for path, why in skipped)
        raise NothingToGraftError(
            "There is no convolution kernel to graft in these networks."
            + (f" Left out:{reasons}" if reasons else "")
        )
    kernels = [
        Site(
            aligned[0].path,
            tuple(kernel.variable for kernel in aligned),
            aligned[0].filter_axes,
            i,
        )
        for i, aligned in enumerate(zip(*per_network, strict=True))
    ]
    walks = [_layers_with_weights(network) for network in networks]
    followers, has_graph = [], True
    if blend == BLOCK:
        owners, has_graph = feeding_convolutions(networks[0])
        followers = _followers(walks, owners, kernels, per_network[0])
    watched = [
        item
        for walk in walks
        for _, layer, own in walk
        for item in (layer, *(own if is_convolution(layer) else ()))
    ]
    trainable = [item.trainable for item in watched]
    return GraftPlan(kernels, followers, skipped, has_graph, watched, trainable)


def write(
    site: Site, live: Sequence[int], values: Sequence[np.ndarray]
) -> None:
    """Writes new values, under the constraints that the weights have.

    Args:
        site: The weight.
        live: Positions of the networks to write.
        values: A new value for each of them.
    """
    for k, value in zip(live, values, strict=True):
        variable = site.variables[k]
        if variable.constraint is not None:
            value = variable.constraint(value)
        set_value(variable, value)


def _followers(walks, owners, kernels, first_kernels):
    # A separable convolution has two kernels: its last one governs the rest.
    position = {id(k.layer): i for i, k in enumerate(first_kernels)}
    taken = {id(v) for site in kernels for v in site.variables}
    followers = []
    for aligned in zip(*walks, strict=True):
        path, layer, _ = aligned[0]
        owner = owners.get(id(layer), layer)
        # The weights of a convolution mean nothing without its kernel.
        left_out = is_convolution(layer) and id(layer) not in position
        if left_out or not layer.trainable:
            continue
        for variables in zip(*(own for _, _, own in aligned), strict=True):
            first = variables[0]
            frozen = is_convolution(layer) and not first.trainable
            if frozen or id(first) in taken or not _is_blendable(first):
                continue
            taken.update(id(v) for v in variables)
            followers.append(Site(path, variables, (), position.get(id(owner))))
    return followers


def _layers_with_weights(network):
    # Networks may differ in the others, such as Dropout.
    layers = [
        (path, layer, own_variables(layer))
        for path, layer in leaf_layers(network)
    ]
    return [entry for entry in layers if entry[2]]


def _blendable(value):
    # Half precision is too coarse to blend in.
    if value.dtype == np.float64:
        return value
    return value.astype("float32", copy=False)


def _is_blendable(variable):
    return keras.backend.is_float_dtype(variable.dtype)
