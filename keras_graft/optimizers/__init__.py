"""CoupledSGD, one optimizer for each network, their averages and schedules."""

from keras_graft.optimizers.coupled_sgd import CoupledSGD
from keras_graft.optimizers.held_schedule import HeldSchedule
from keras_graft.optimizers.warm_up import WarmUp

__all__ = ["CoupledSGD", "HeldSchedule", "WarmUp"]
