"""What training costs in bytes: formulas of sizes, devices and networks.

Two ways to lay N networks on D devices:

- *data parallel*, what `--strategy` does: each device holds all networks and
  sees b images in a step; gradients are summed over all devices.
- *placed*, a design (benchmarks/NOTES.md): each network has g = D / N devices,
  which see the same D b images of a step, N b images each. Gradients are
  summed over the g devices; networks tell each other their logits in each
  step, and their weights at each graft.

A device does the same arithmetic in both.
"""

import dataclasses

import keras
import numpy as np

from keras_graft.structure.conv_layers import leaf_layers
from keras_graft.structure.flops import inference_flops

# Weights, gradients and statistics are float32 whatever the precision.
_FLOAT = 4
# Synchronised BatchNormalization sums over the devices, for each channel,
# what Keras 3.15 does: in the forward pass the values, their squares and their
# number, in the backward pass the gradients of the first two.
_SUMS_OF_A_CHANNEL = 5


@dataclasses.dataclass(frozen=True)
class NetworkSize:
    """What the costs of a network depend on.

    Attributes:
        parameters: Numbers that are trained.
        statistics: Numbers beside them, such as moving averages.
        normalised_channels: Channels of all BatchNormalization layers.
        classes: Logits of an image.
        activations: Numbers that a step keeps of an image.
        flops: Operations for an image, forward.
    """

    parameters: int
    statistics: int
    normalised_channels: int
    classes: int
    activations: int
    flops: int

    @property
    def weight_bytes(self) -> int:
        """All weights."""
        return _FLOAT * (self.parameters + self.statistics)

    @property
    def summed_bytes(self) -> int:
        """What the devices of a network sum in a step."""
        sums = _SUMS_OF_A_CHANNEL * self.normalised_channels
        return _FLOAT * (self.parameters + sums)


def size_of(network: keras.Model) -> NetworkSize:
    """The size of a built model with one output, or one named `logits`."""
    layers = [layer for _, layer in leaf_layers(network)]
    norms = [
        layer
        for layer in layers
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    parameters = _count(network.trainable_variables)
    total = _count(network.weights)
    logits = network.output
    if isinstance(logits, dict):
        logits = logits["logits"]
    return NetworkSize(
        parameters=parameters,
        statistics=total - parameters,
        normalised_channels=sum(layer.moving_mean.shape[0] for layer in norms),
        classes=int(logits.shape[-1]),
        # What comes out of a normalisation is not kept: the activation after
        # it is.
        activations=sum(
            int(np.prod(layer.output.shape[1:]))
            for layer in layers
            if layer not in norms
        ),
        flops=inference_flops(network),
    )


def ring_bytes(summed: float, devices: int) -> float:
    """What each device sends to sum so many bytes over all of them."""
    return 2 * (devices - 1) / devices * summed


def data_parallel_step_bytes(
    size: NetworkSize, num_networks: int, devices: int
) -> float:
    """What a device sends in a step, data parallel.

    In a ring that passes each host once, a host's network card sends as much
    as one device.
    """
    return ring_bytes(num_networks * size.summed_bytes, devices)


def placed_step_bytes(
    size: NetworkSize, num_networks: int, devices: int, images: int
) -> float:
    """What a device sends in a step with the networks placed.

    Args:
        size: Of one network.
        num_networks: N, at most the number of devices and a divisor of it.
        devices: D.
        images: b, the images that a device would see data parallel.
    """
    group = devices // num_networks
    logits = num_networks * images * size.classes * _FLOAT
    return ring_bytes(size.summed_bytes, group) + (num_networks - 1) * logits


def placed_graft_bytes(size: NetworkSize) -> int:
    """What a device sends at a graft with the networks placed: its weights."""
    return size.weight_bytes


def state_bytes(size: NetworkSize, networks: int, slots: int = 1) -> int:
    """Weights and optimizer slots of the networks that a device holds.

    Args:
        size: Of one network.
        networks: How many.
        slots: Numbers of an optimizer for each parameter: 1 for momentum.
    """
    return networks * (size.weight_bytes + slots * _FLOAT * size.parameters)


def step_memory_bytes(
    size: NetworkSize,
    networks: int,
    images: int,
    slots: int = 1,
    activation_bytes: int = _FLOAT,
) -> int:
    """About what a step holds on a device, without TensorFlow itself.

    Weights and slots, the copy of them that a skipped step goes back to,
    gradients, and the activations of every network at once.

    Args:
        size: Of one network.
        networks: How many the device holds.
        images: How many it sees in a step.
        slots: As for `state_bytes`.
        activation_bytes: 4, or 2 with half precision.
    """
    gradients = networks * _FLOAT * size.parameters
    kept = networks * images * size.activations * activation_bytes
    return 2 * state_bytes(size, networks, slots) + gradients + kept


def _count(variables):
    return sum(int(np.prod(variable.shape)) for variable in variables)
