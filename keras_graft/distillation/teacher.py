"""Every network learns from fixed teachers."""

from typing import Any

import keras
import tensorflow as tf

from keras_graft.distillation.soft_targets import SoftTargetDistillation
from keras_graft.distillation.term import weight_from_config
from keras_graft.structure.outputs import as_logits
from keras_graft.structure.outputs import final_activation


@keras.saving.register_keras_serializable(package="keras_graft")
class TeacherDistillation(SoftTargetDistillation):
    """Pulls each network towards the mean of fixed teachers' predictions.

    With grafting this is the paper's grafting+ (arXiv 2004.12311, section
    3.5); with one network it is knowledge distillation. The teachers run in
    inference mode and are never changed. They are not saved with the trainer:
    after loading one, set `trainer.distillation[i].teachers` before `fit`.

    Args:
        teachers: One Keras model or a list of them, built, with the inputs
            and outputs of the networks; a teacher that ends in a softmax is
            taken to give probabilities, any other one logits. A subclassed
            teacher does not show how it ends: it gives probabilities where
            the predictions of a batch are at least 0 and sum to 1.
        temperature: Divides the logits of both sides, above 0. Defaults to
            2.0.
        weight: Factor of the term in the loss: a float, at least 0, or a
            `keras.optimizers.schedules.LearningRateSchedule` of the steps
            that a network's optimizer has taken. Defaults to 1.0.
    """

    def __init__(
        self, teachers: Any, temperature: float = 2.0, weight: Any = 1.0
    ) -> None:
        super().__init__(temperature=temperature, weight=weight)
        self.missing_teachers = []
        self.teachers = teachers

    @property
    def ready(self):
        """Whether the teachers are there: a loaded term lacks them."""
        return not self.missing_teachers

    @property
    def teachers(self):
        return self._teachers

    @teachers.setter
    def teachers(self, teachers):
        if isinstance(teachers, keras.Model):
            teachers = [teachers]
        teachers = list(teachers)
        wrong = [t for t in teachers if not isinstance(t, keras.Model)]
        if wrong:
            raise ValueError(
                "`teachers` must be Keras models; load them with "
                f"keras.models.load_model. Received: {wrong}"
            )
        if not teachers and not self.missing_teachers:
            raise ValueError(
                "`teachers` is empty: give at least one Keras model, or "
                "leave the term out."
            )
        if teachers:
            self.missing_teachers = []
        self._teachers = teachers

    def targets(self, inputs, logits, live):
        del live  # Teachers do not depend on the networks.
        by_input = {}
        for x in inputs:
            if id(x) not in by_input:
                by_input[id(x)] = self._mean_probabilities(x, logits[0])
        targets = [by_input[id(x)] for x in inputs]
        return targets, [1.0] * len(logits)

    def _mean_probabilities(self, x, students):
        probabilities = []
        for teacher in self.teachers:
            outputs = teacher(x, training=False)
            _check_classes(teacher, outputs, students)
            logits = _logits(teacher, outputs)
            probabilities.append(tf.nn.softmax(logits / self.temperature))
        return tf.stop_gradient(tf.add_n(probabilities) / len(self.teachers))

    def get_config(self):
        names = [teacher.name for teacher in self.teachers]
        config = super().get_config()
        config["missing_teachers"] = names or self.missing_teachers
        return config

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        term = cls.__new__(cls)
        SoftTargetDistillation.__init__(
            term, config["temperature"], weight_from_config(config)
        )
        term.missing_teachers = list(config["missing_teachers"])
        term._teachers = []
        return term


def _logits(teacher, outputs):
    activation = final_activation(teacher)
    if activation is not None:
        return as_logits(outputs, from_logits=activation != "softmax")
    outputs = tf.cast(outputs, "float32")
    sums = tf.reduce_sum(outputs, axis=-1)
    # Half precision sums to 1 within a percent.
    are_probabilities = tf.reduce_all(outputs >= 0) & tf.reduce_all(
        tf.abs(sums - 1.0) < 0.01
    )
    return tf.where(are_probabilities, as_logits(outputs, False), outputs)


def _check_classes(teacher, outputs, students):
    if outputs.shape[-1] != students.shape[-1]:
        raise ValueError(
            "Teachers must have the outputs of the networks. Received the "
            f"teacher '{teacher.name}' of {outputs.shape[-1]} classes for "
            f"networks of {students.shape[-1]}."
        )
