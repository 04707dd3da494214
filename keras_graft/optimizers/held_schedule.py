"""A learning rate that stays where it is from some step on."""

from typing import Any

import keras

from keras_graft.checks.numbers import is_number


@keras.saving.register_keras_serializable(package="keras_graft")
class HeldSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """Another schedule up to a step, and its value there from then on.

    Weights that are averaged have to move, which they stop doing as a cosine
    goes to 0 (arXiv 1803.05407, section 3.1, where the rate is constant).

    Args:
        schedule: A learning rate, or a Keras schedule.
        step: From which step on the learning rate stays, at least 0.
    """

    def __init__(self, schedule: Any, step: int):
        if not is_number(step) or step < 0:
            raise ValueError(
                "`step` counts optimizer steps from 0 on, so it must be a "
                f"number, at least 0. Received: {step!r}"
            )
        if not (callable(schedule) or is_number(schedule)):
            raise ValueError(
                "`schedule` must be a learning rate or a Keras schedule. "
                f"Received: {schedule!r}"
            )
        self._schedule = schedule
        self._step = int(step)

    def __call__(self, step):
        if not callable(self._schedule):
            return self._schedule
        return self._schedule(keras.ops.minimum(step, self._step))

    def get_config(self):
        return {
            "schedule": keras.saving.serialize_keras_object(self._schedule),
            "step": self._step,
        }

    @classmethod
    def from_config(cls, config):
        schedule = keras.saving.deserialize_keras_object(config["schedule"])
        return cls(schedule, config["step"])
