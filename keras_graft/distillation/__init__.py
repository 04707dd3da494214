"""Cultivation: distillation keeps valid filters good."""

from keras_graft.distillation.mutual import MutualDistillation
from keras_graft.distillation.mutual import peer_probabilities
from keras_graft.distillation.soft_targets import SoftTargetDistillation
from keras_graft.distillation.softening import softened_divergence
from keras_graft.distillation.teacher import TeacherDistillation

__all__ = [
    "MutualDistillation",
    "SoftTargetDistillation",
    "TeacherDistillation",
    "peer_probabilities",
    "softened_divergence",
]
