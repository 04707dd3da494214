"""The learning rates of N networks, read and written as one number."""

import copy
from collections.abc import Sequence
from typing import Any

import keras

from keras_graft.optimizers.moving_averages import inner_optimizer

# Rates that keep their ratios are rounded each time they are written.
_ROUNDING = 1e-5


def rated(
    optimizers: Sequence[keras.optimizers.Optimizer],
) -> list[keras.optimizers.Optimizer]:
    """The optimizers that have a learning rate, inside of wrappers.

    Args:
        optimizers: Keras optimizers, `LossScaleOptimizer` and
            `MultiOptimizer` among them.
    """
    found = []
    for optimizer in map(inner_optimizer, optimizers):
        if isinstance(optimizer, keras.optimizers.MultiOptimizer):
            found += optimizer.optimizers
        else:
            found.append(optimizer)
    return found


def current_rate(optimizer: keras.optimizers.Optimizer) -> float:
    """The learning rate of the next step; of several the largest."""
    return max(map(_number, rated([optimizer])), default=0.0)


def rate_to_keep(optimizer: keras.optimizers.Optimizer) -> Any:
    """What an optimizer was given as its learning rate, as a JSON value.

    Returns:
        A number, or the config of a schedule (its class where it has none).
        Of several in a `MultiOptimizer` a list.
    """
    kept = [_to_keep(each) for each in rated([optimizer])]
    return kept[0] if len(kept) == 1 else kept


def starting_rate(kept: Any) -> float:
    """The learning rate of the first step.

    Args:
        kept: What `rate_to_keep` returned.

    Raises:
        ValueError: If it is of a schedule that has no config.
    """
    if isinstance(kept, list):
        return max(map(starting_rate, kept), default=0.0)
    if isinstance(kept, dict):
        schedule = keras.optimizers.schedules.deserialize(kept)
        return _as_number(schedule(0))
    if isinstance(kept, str):
        raise ValueError(
            f"The learning rate is {kept}, so that nobody knows with what it "
            "began. Give its class a `get_config`."
        )
    return float(kept)


class SharedRates:
    """N learning rates as one: the largest, which the others follow.

    Writing it scales all in proportion, so that rates in a ring stay one. The
    proportion is that of the last rates that were not all 0.

    Args:
        optimizers: What has the rates, in any number.
    """

    def __init__(self, optimizers: Sequence[keras.optimizers.Optimizer]):
        self._optimizers = optimizers
        self._shares: list[float] = []
        self._handle: _Handle | None = None
        self._keep_shares()

    def read(self) -> Any:
        """The largest rate; assigning to it writes them all."""
        optimizers = rated(self._optimizers)
        if len(optimizers) == 1:
            return optimizers[0].learning_rate
        rate = max((o.learning_rate for o in optimizers), key=_as_number)
        if not isinstance(rate, keras.Variable):
            return rate
        if self._handle is None:
            self._handle = _Handle(self, rate)
        self._handle.show(rate)
        return self._handle

    def write(self, rate: Any) -> None:
        """Gives every optimizer its share of a rate.

        Args:
            rate: A number, or a schedule, of which each gets a copy.

        Raises:
            TypeError: If a rate comes from a schedule, as from Keras.
            ValueError: If a schedule is to follow rates that differ.
        """
        optimizers = rated(self._optimizers)
        if len(optimizers) == 1:
            optimizers[0].learning_rate = rate
            return
        self._keep_shares()
        if callable(rate):
            self._write_schedule(optimizers, rate)
            return
        for optimizer in optimizers:
            if not isinstance(optimizer.learning_rate, keras.Variable):
                optimizer.learning_rate = rate  # Keras says why not.
        rate = _as_number(rate)
        for optimizer, share in zip(optimizers, self._shares, strict=True):
            optimizer.learning_rate = rate * share
        if self._handle is not None:
            self._handle.show(rate)

    def _write_schedule(self, optimizers, schedule):
        if len(set(self._shares)) > 1:
            raise ValueError(
                "A schedule cannot take the place of learning rates that "
                f"differ, {[_number(o) for o in optimizers]}: set one for "
                "each, trainer.optimizer.optimizers[k].learning_rate = ..."
            )
        for optimizer in optimizers:
            optimizer.learning_rate = copy.deepcopy(schedule)

    def _keep_shares(self):
        rates = [_number(o) for o in rated(self._optimizers)]
        largest = max(rates, default=0.0)
        if len(self._shares) != len(rates):
            self._shares = [1.0] * len(rates)
        if not largest > 0:
            return
        shares = [rate / largest for rate in rates]
        # A resumed run reads them from rounded numbers, and has to write what
        # an uninterrupted one writes.
        if any(
            abs(new - old) > _ROUNDING
            for new, old in zip(shares, self._shares, strict=True)
        ):
            self._shares = shares


class _Handle(keras.Variable):
    """The largest of N rates; what it is assigned, all of them follow."""

    def __init__(self, rates, largest):
        super().__init__(
            largest.numpy(),
            dtype=largest.dtype,
            trainable=False,
            name="learning_rate",
        )
        self._rates = rates

    def assign(self, value):
        self._rates.write(value)
        return self.value

    def show(self, value):
        super().assign(value)


def _number(optimizer):
    return _as_number(optimizer.learning_rate)


def _as_number(rate):
    return float(keras.ops.convert_to_numpy(rate))


def _to_keep(optimizer):
    try:
        rate = optimizer.get_config()["learning_rate"]
    except (KeyError, NotImplementedError):
        rate = optimizer.learning_rate
        if not isinstance(rate, keras.Variable):
            return "a schedule without a config"
        return _as_number(rate)
    return rate if isinstance(rate, dict | str) else float(rate)
