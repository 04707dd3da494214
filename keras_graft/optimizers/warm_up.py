"""A learning rate that rises to another schedule's."""

from typing import Any

import keras

from keras_graft.checks.numbers import is_number


@keras.saving.register_keras_serializable(package="keras_graft")
class WarmUp(keras.optimizers.schedules.LearningRateSchedule):
    """Another schedule, multiplied by a factor that rises linearly to 1.

    `CosineDecay` of Keras has a warm-up of its own; this one is for steps and
    for constant rates too.

    Args:
        schedule: A learning rate, or a Keras schedule.
        steps: Steps that the rise takes, above 0.
        start: The factor at the first step, in [0, 1]. Defaults to 0.1.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(self, schedule: Any, steps: int, start: float = 0.1):
        if not is_number(steps) or steps <= 0:
            raise ValueError(
                f"`steps` must be a number above 0. Received: {steps!r}"
            )
        if not (is_number(start) and 0 <= start <= 1):
            raise ValueError(f"`start` must be in [0, 1]. Received: {start!r}")
        if not (callable(schedule) or is_number(schedule)):
            raise ValueError(
                "`schedule` must be a learning rate or a Keras schedule. "
                f"Received: {schedule!r}"
            )
        self._schedule = schedule
        self._steps = steps
        self._start = start

    def __call__(self, step):
        rate = self._schedule
        rate = rate(step) if callable(rate) else rate
        done = keras.ops.cast(step, "float32") / self._steps
        risen = self._start + (1 - self._start) * keras.ops.minimum(done, 1.0)
        return rate * risen

    def get_config(self):
        return {
            "schedule": keras.saving.serialize_keras_object(self._schedule),
            "steps": self._steps,
            "start": self._start,
        }

    @classmethod
    def from_config(cls, config):
        schedule = keras.saving.deserialize_keras_object(config["schedule"])
        return cls(schedule, config["steps"], config["start"])
