"""The N optimizers of a trainer, seen by Keras as one."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_graft.optimizers.backbone_rate import BackboneRateAdam
from keras_graft.optimizers.backbone_rate import BackboneRateSGD
from keras_graft.optimizers.coupled_sgd import CoupledSGD
from keras_graft.optimizers.moving_averages import inner_optimizer
from keras_graft.optimizers.rates import SharedRates
from keras_graft.optimizers.rates import current_rate
from keras_graft.optimizers.rates import rate_to_keep
from keras_graft.optimizers.rates import rated

# What they do follows from their config and the variables' shapes. Others may
# look at the variables' names, or at what they keep to themselves.
_TOLD_BY_CONFIG = (
    CoupledSGD,
    keras.optimizers.SGD,
    keras.optimizers.Adam,
    keras.optimizers.AdamW,
    BackboneRateSGD,
    BackboneRateAdam,
)
_SCHEDULES = "keras.optimizers.schedules"


class NetworkOptimizers:
    """N optimizers, one per network, that read and write like one.

    They are named `network_0`, `network_1`, ... by position.

    Args:
        optimizers: N Keras optimizers.

    Attributes:
        optimizers: They.
        compiled_rates: What each was given as its learning rate, as JSON.
    """

    def __init__(self, optimizers: Sequence[keras.optimizers.Optimizer]):
        self.optimizers = list(optimizers)
        for k, optimizer in enumerate(self.optimizers):
            optimizer.name = f"network_{k}"
        self.compiled_rates = [rate_to_keep(o) for o in self.optimizers]
        self._rates = SharedRates(self.optimizers)

    @property
    def built(self) -> bool:
        return all(optimizer.built for optimizer in self.optimizers)

    @property
    def variables(self) -> list[keras.Variable]:
        return [v for o in self.optimizers for v in o.variables]

    @property
    def learning_rate(self) -> Any:
        """The largest learning rate. Writing it scales all in proportion."""
        return self._rates.read()

    @learning_rate.setter
    def learning_rate(self, rate: Any) -> None:
        self._rates.write(rate)

    @property
    def iterations(self) -> keras.Variable:
        """Steps taken, by the network that has taken most."""
        counts = [inner_optimizer(o).iterations for o in self.optimizers]
        if len(counts) == 1:
            return counts[0]
        return max(counts, key=int)

    def get_config(self) -> dict[str, Any]:
        """The config of a single optimizer, or one that holds those of all."""
        if len(self.optimizers) == 1:
            return self.optimizers[0].get_config()
        return {
            "name": "network_optimizers",
            "learning_rate": max(map(current_rate, self.optimizers)),
            "optimizers": [
                keras.optimizers.serialize(o) for o in self.optimizers
            ],
        }

    def build_for(self, networks: Sequence[keras.Model]) -> None:
        """Creates the slots that are missing, in the current scope."""
        for optimizer, network in zip(self.optimizers, networks, strict=True):
            if not optimizer.built:
                optimizer.build(network.trainable_variables)


def check_excludes_by_name(optimizer: keras.optimizers.Optimizer) -> None:
    """Refuses an optimizer that excludes weights of one network from decay.

    Args:
        optimizer: What is to be copied for each network.

    Raises:
        ValueError: If `exclude_from_weight_decay` was given variables.
    """
    for inner in [optimizer, *rated([optimizer])]:
        if getattr(inner, "_exclude_from_weight_decay", None):
            raise ValueError(
                "`exclude_from_weight_decay(var_list=...)` names variables of "
                "one network, so that this optimizer cannot be copied for "
                "each. Use exclude_from_weight_decay(var_names=[...]), or "
                "give a list with an optimizer for each network."
            )


def equal_optimizers(
    one: keras.optimizers.Optimizer, other: keras.optimizers.Optimizer
) -> bool:
    """Whether two optimizers have one class, and one config but for names."""
    return type(one) is type(other) and _settings(one) == _settings(other)


def _settings(optimizer):
    try:
        settings = inner_optimizer(optimizer).get_config()
    except NotImplementedError:
        return current_rate(optimizer)
    settings.pop("name", None)
    return str(settings)


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
    try:
        with tf.init_scope():
            # It looks at the rate, which has no value while a step is traced.
            config = optimizer.get_config()
    except NotImplementedError:
        return None  # A schedule of one's own need not have one.
    rate = config.pop("learning_rate")
    schedule = rate if isinstance(rate, dict) else None
    del config["name"]
    # Keras gives no public access to them (3.15).
    updated = optimizer._trainable_variables
    if (
        (schedule and schedule.get("module") != _SCHEDULES)
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
    return bool(
        isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
        and keras.ops.convert_to_numpy(optimizer.dynamic_scale) > 1.0
    )


def steps_taken(
    optimizers: Sequence[keras.optimizers.Optimizer],
) -> list[int]:
    """How many steps each of them has taken; a skipped one does not count."""
    # Mirrored over replicas it is no number of Python's.
    read = keras.ops.convert_to_numpy
    return [int(read(inner_optimizer(o).iterations)) for o in optimizers]


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
