"""Cultivation: distillation keeps valid filters good."""

from keras_graft.distillation.features import FeatureTaps
from keras_graft.distillation.features import PeerFeatureDistillation
from keras_graft.distillation.mutual import MutualDistillation
from keras_graft.distillation.mutual import peer_probabilities
from keras_graft.distillation.soft_targets import SoftTargetDistillation
from keras_graft.distillation.softening import softened_divergence
from keras_graft.distillation.teacher import TeacherDistillation
from keras_graft.distillation.term import DistillationInputs
from keras_graft.distillation.term import DistillationTerm

__all__ = [
    "DistillationInputs",
    "DistillationTerm",
    "FeatureTaps",
    "MutualDistillation",
    "PeerFeatureDistillation",
    "SoftTargetDistillation",
    "TeacherDistillation",
    "peer_probabilities",
    "softened_divergence",
]
