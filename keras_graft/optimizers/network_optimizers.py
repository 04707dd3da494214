"""The N optimizers of a trainer, seen by Keras as one."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_graft.optimizers.coupled_sgd import CoupledSGD
from keras_graft.optimizers.moving_averages import inner_optimizer

# What they do follows from their config and the variables' shapes. Others may
# look at the variables' names, or at what they keep to themselves.
_TOLD_BY_CONFIG = (
    CoupledSGD,
    keras.optimizers.SGD,
    keras.optimizers.Adam,
    keras.optimizers.AdamW,
)
_SCHEDULES = "keras.optimizers.schedules"


class NetworkOptimizers:
    """A thin view of one optimizer per network.

    Stock learning-rate callbacks act on each member of `optimizers`, which
    are named `network_0`, `network_1`, ... by position, and log
    `learning_rate_network_0` and so on.

    Args:
        optimizers: N Keras optimizers.
    """

    def __init__(self, optimizers: Sequence[keras.optimizers.Optimizer]):
        self.optimizers = list(optimizers)
        for k, optimizer in enumerate(self.optimizers):
            optimizer.name = f"network_{k}"

    @property
    def built(self) -> bool:
        return all(optimizer.built for optimizer in self.optimizers)

    @property
    def variables(self) -> list[keras.Variable]:
        return [v for o in self.optimizers for v in o.variables]

    def build_for(self, networks: Sequence[keras.Model]) -> None:
        """Creates the slots that are missing, in the current scope."""
        for optimizer, network in zip(self.optimizers, networks, strict=True):
            if not optimizer.built:
                optimizer.build(network.trainable_variables)


def one_optimizer_per_network(
    optimizer: Any, num_networks: int
) -> list[keras.optimizers.Optimizer]:
    """Resolves `compile(optimizer=...)` into N separate optimizers.

    Args:
        optimizer: A Keras optimizer, its name or its config: copied once for
            each network. Or a list of N of them, used as they are.
        num_networks: N.

    Returns:
        List of N optimizers that share nothing.

    Raises:
        ValueError: If a list has another length or names an object twice.
    """
    if not isinstance(optimizer, list | tuple):
        template = keras.optimizers.get(optimizer)
        config = keras.optimizers.serialize(template)
        return [
            keras.optimizers.deserialize(config) for _ in range(num_networks)
        ]
    if len(optimizer) != num_networks:
        raise ValueError(
            f"`optimizer` must be one optimizer or a list of {num_networks}, "
            f"one for each network. Received a list of {len(optimizer)}."
        )
    optimizers = [keras.optimizers.get(o) for o in optimizer]
    if len({id(o) for o in optimizers}) < num_networks:
        raise ValueError(
            "Each network needs an optimizer object of its own: it holds that "
            "network's momentum. The list names one object twice. Make "
            f"{num_networks} objects, or give one to be copied."
        )
    return optimizers


def told_by_config(
    optimizers: Sequence[keras.optimizers.Optimizer],
    networks: Sequence[keras.Model],
) -> bool:
    """Whether N optimizers are known to make the same update.

    That is, the same of the same numbers: learning rates may differ, where
    they are no schedules.

    Args:
        optimizers: N built optimizers.
        networks: Their networks, with variables of the same shapes.
    """
    first, *others = map(_rule, optimizers, networks)
    return first is not None and all(rule == first for rule in others)


def _rule(optimizer, network):
    """All that an update depends on but numbers in variables, or None."""
    if type(optimizer) not in _TOLD_BY_CONFIG:
        return None
    with tf.init_scope():
        # It looks at the rate, which has no value while a step is traced.
        config = optimizer.get_config()
    rate = config.pop("learning_rate")
    schedule = rate if isinstance(rate, dict) else None
    del config["name"]
    # Keras gives no public access to them (3.15).
    updated = optimizer._trainable_variables
    if (
        (schedule and schedule["module"] != _SCHEDULES)
        # What `exclude_from_weight_decay` was told is in no config.
        or "_exclude_from_weight_decay" in vars(optimizer)
        or any(variable.constraint is not None for variable in updated)
    ):
        return None
    places = {id(variable): i for i, variable in enumerate(network.variables)}
    return (
        type(optimizer),
        config,
        schedule,
        [places[id(variable)] for variable in updated],
        [(slot.shape, slot.dtype) for slot in optimizer.variables],
    )


def with_loss_scales(
    optimizers: Sequence[keras.optimizers.Optimizer],
    networks: Sequence[keras.Model],
) -> list[keras.optimizers.Optimizer]:
    """Gives the networks that compute in float16 a loss scale of their own.

    Args:
        optimizers: N optimizers.
        networks: N networks.

    Returns:
        N optimizers; a `LossScaleOptimizer` around that of each network of
        dtype policy `"mixed_float16"` that has none yet.
    """
    scaled = keras.optimizers.LossScaleOptimizer
    return [
        scaled(optimizer)
        if network.dtype_policy.name == "mixed_float16"
        and not isinstance(optimizer, scaled)
        else optimizer
        for optimizer, network in zip(optimizers, networks, strict=True)
    ]


def has_scale_to_lower(optimizer: keras.optimizers.Optimizer) -> bool:
    """Whether a loss scale is still to be found that gradients fit in.

    Args:
        optimizer: A built optimizer.
    """
    return (
        isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
        and float(optimizer.dynamic_scale) > 1.0
    )


def steps_taken(
    optimizers: Sequence[keras.optimizers.Optimizer],
) -> list[int]:
    """How many steps each of them has taken; a skipped one does not count."""
    return [int(inner_optimizer(o).iterations) for o in optimizers]


def state_variables(
    optimizer: keras.optimizers.Optimizer,
) -> list[keras.Variable]:
    """What a skipped step must leave alone: slots, counters, rates.

    The scale of a `LossScaleOptimizer` is not among them: it has to fall when
    gradients overflow.
    """
    return inner_optimizer(optimizer).variables


def scale_variables(
    optimizer: keras.optimizers.Optimizer,
) -> list[keras.Variable]:
    """What an optimizer has beyond `state_variables`: scale and its counter."""
    others = {id(variable) for variable in state_variables(optimizer)}
    return [v for v in optimizer.variables if id(v) not in others]
