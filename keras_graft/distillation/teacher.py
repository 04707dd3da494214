"""Every network learns from fixed teachers."""

import itertools
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_graft.distillation.soft_targets import SoftTargetDistillation
from keras_graft.distillation.term import weight_from_config
from keras_graft.structure.heads import Head
from keras_graft.structure.heads import check_kind
from keras_graft.structure.outputs import final_activations
from keras_graft.structure.printable import printable
from keras_graft.structure.scope_names import check_scope_names
from keras_graft.structure.variable_values import value_of


@keras.saving.register_keras_serializable(package="keras_graft")
class TeacherDistillation(SoftTargetDistillation):
    """Pulls each network towards the mean of fixed teachers' predictions.

    With grafting this is the paper's grafting+ (arXiv 2004.12311, section
    3.5); with one network it is knowledge distillation. The teachers run in
    inference mode and are never changed. They are not saved with the trainer:
    after loading one, set `trainer.distillation[i].teachers` before `fit`.

    Args:
        teachers: One Keras model or a list of them, built, with the inputs
            and outputs of the networks. One that ends in a linear layer gives
            logits, one that ends in a softmax (of labels: a sigmoid)
            probabilities; of any other say it with `heads`.
        temperature: Divides the logits of both sides, above 0. Defaults to
            2.0.
        weight: Factor of the term in the loss: a float, at least 0, or a
            `keras.optimizers.schedules.LearningRateSchedule` of the steps
            that a network's optimizer has taken. Defaults to 1.0.
        head_weights: As for `MutualDistillation`.
        regression: As for `MutualDistillation`.
        heads: What teachers give that do not show it, such as
            `"class_logits"`, or a dict of that by output. Defaults to None.
    """

    def __init__(
        self,
        teachers: Any,
        temperature: float = 2.0,
        weight: Any = 1.0,
        head_weights: dict[str, float] | None = None,
        regression: bool = False,
        heads: str | dict[str, str] | None = None,
    ) -> None:
        super().__init__(
            temperature=temperature,
            weight=weight,
            head_weights=head_weights,
            regression=regression,
        )
        self.heads = heads
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
        if not isinstance(teachers, list | tuple):
            raise ValueError(
                "`teachers` must be a Keras model or a list of them. "
                f"Received: {teachers!r}"
            )
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
        for teacher in teachers:
            check_scope_names(teacher, f"The teacher {teacher.name!r}")
        if teachers:
            self.missing_teachers = []
        self._teachers = teachers

    def check(self):
        super().check()
        for teacher in self.teachers:
            for weight in teacher.weights:
                if not np.isfinite(value_of(weight)).all():
                    raise ValueError(
                        f"The teacher '{teacher.name}' has NaN or infinity in "
                        f"its weight {printable(weight.path)}, so that nothing "
                        "can be learned from it. Load it anew, or leave it out."
                    )

    def check_heads(self, heads):
        super().check_heads(heads)
        for teacher in self.teachers:
            self._heads_of(teacher, heads)

    def prepared(self, given):
        by_input = {}
        for x in given.inputs:
            if id(x) not in by_input:
                by_input[id(x)] = [
                    self._logits(teacher, x, given) for teacher in self.teachers
                ]
        return [by_input[id(x)] for x in given.inputs]

    def targets(self, prepared, i, head):
        temperature = 1.0 if head.has_values else self.temperature
        by_teachers = {}
        for of_teachers in prepared:
            if id(of_teachers) not in by_teachers:
                outputs = [
                    head.activate(logits[i] / temperature)
                    for logits in of_teachers
                ]
                by_teachers[id(of_teachers)] = tf.stop_gradient(
                    tf.add_n(outputs) / len(outputs)
                )
        targets = [by_teachers[id(of_teachers)] for of_teachers in prepared]
        return targets, [1.0] * len(targets)

    def _logits(self, teacher, x, given):
        outputs = keras.tree.flatten(teacher(x, training=False))
        heads = self._heads_of(teacher, given.heads)
        students = given.logits[0]
        if not isinstance(students, list | tuple):
            students = [students]
        # Who teaches classes may embed in a space of another size.
        taught = [self._weight_of(head) > 0 for head in given.heads]
        _check_outputs(
            teacher,
            itertools.compress(outputs, taught),
            itertools.compress(students, taught),
        )
        return [
            head.logits(output)
            for head, output in zip(heads, outputs, strict=True)
        ]

    def _heads_of(self, teacher, heads):
        """What a teacher gives for each head of the networks."""
        ends = final_activations(teacher) or [None] * len(heads)
        if len(ends) != len(heads):
            raise ValueError(
                f"The teacher {teacher.name!r} has {len(ends)} outputs, and "
                f"the networks have {len(heads)}."
            )
        return [
            _teacher_head(teacher, head, end, self._given(head))
            for head, end in zip(heads, ends, strict=True)
        ]

    def _given(self, head):
        if isinstance(self.heads, dict):
            return self.heads.get(head.name)
        return self.heads

    def get_config(self):
        names = [teacher.name for teacher in self.teachers]
        config = super().get_config()
        config["missing_teachers"] = names or self.missing_teachers
        config["heads"] = self.heads
        return config

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        term = cls.__new__(cls)
        SoftTargetDistillation.__init__(
            term,
            config["temperature"],
            weight_from_config(config),
            config.get("head_weights"),
            config.get("regression", False),
        )
        term.heads = config.get("heads")
        term.missing_teachers = list(config["missing_teachers"])
        term._teachers = []
        return term


def _teacher_head(teacher, head, end, given):
    if given is not None:
        check_kind(given, head.name)
        return Head(head.name, given)
    if head.has_values:
        return head
    family = head.kind.removesuffix("_logits").removesuffix("_probabilities")
    squashing = "softmax" if head.has_classes else "sigmoid"
    if hasattr(teacher, "heads_of"):
        end = squashing  # A trainer gives what its networks mean together.
    if end in ("linear", squashing):
        form = "logits" if end == "linear" else "probabilities"
        return Head(head.name, f"{family}_{form}")
    what = "does not show how it ends" if end is None else f"ends in a {end}"
    raise ValueError(
        f"The teacher {teacher.name!r} {what}, and the networks' output "
        f"'{head.name}' is {head.kind}: whether it gives logits or "
        f"probabilities is not known. Say it: TeacherDistillation(..., "
        f"heads='{family}_logits') or heads='{family}_probabilities'."
    )


def _check_outputs(teacher, outputs, students):
    for output, student in zip(outputs, students, strict=True):
        if output.shape[-1] != student.shape[-1]:
            raise ValueError(
                "Teachers must have the outputs of the networks. Received the "
                f"teacher {teacher.name!r} of {output.shape[-1]} classes for "
                f"networks of {student.shape[-1]}."
            )
