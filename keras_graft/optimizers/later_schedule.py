"""A learning rate from the middle of its course on."""

from typing import Any

import keras

from keras_graft.checks.numbers import is_number


@keras.saving.register_keras_serializable(package="keras_graft")
class LaterSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """Another schedule, as if some steps had been taken before the first.

    For an optimizer that is made anew while a run goes on, since other
    weights are trained: it counts from 0.

    Args:
        schedule: A Keras schedule.
        steps: Steps that were taken before, at least 0.
    """

    def __init__(self, schedule: Any, steps: int):
        if not is_number(steps) or steps < 0:
            raise ValueError(
                "`steps` counts optimizer steps, so it must be a number, at "
                f"least 0. Received: {steps!r}"
            )
        if not callable(schedule):
            raise ValueError(
                f"`schedule` must be a Keras schedule. Received: {schedule!r}"
            )
        self._schedule = schedule
        self._steps = int(steps)

    def __call__(self, step):
        return self._schedule(step + self._steps)

    def get_config(self):
        return {
            "schedule": keras.saving.serialize_keras_object(self._schedule),
            "steps": self._steps,
        }

    @classmethod
    def from_config(cls, config):
        schedule = keras.saving.deserialize_keras_object(config["schedule"])
        return cls(schedule, config["steps"])
