"""Method: between epochs, networks take in weights of their peers."""

from keras_graft.grafting.batch_norm import ReestimateBatchNorm
from keras_graft.grafting.callback import GraftCallback
from keras_graft.grafting.coefficient import graft_coefficient
from keras_graft.grafting.external import graft_ring
from keras_graft.grafting.external import ring_learning_rates
from keras_graft.grafting.gamma import gamma_coefficient
from keras_graft.structure.batch_norm_statistics import reestimate_batch_norm
from keras_graft.structure.kernel_measures import kernel_entropy
from keras_graft.structure.kernel_measures import kernel_l1

__all__ = [
    "GraftCallback",
    "ReestimateBatchNorm",
    "gamma_coefficient",
    "graft_coefficient",
    "graft_ring",
    "kernel_entropy",
    "kernel_l1",
    "reestimate_batch_norm",
    "ring_learning_rates",
]
