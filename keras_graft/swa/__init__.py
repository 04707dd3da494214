"""Stochastic weight averaging: ships the mean of the last epochs' weights."""

from keras_graft.optimizers.held_schedule import HeldSchedule
from keras_graft.swa.callback import StochasticWeightAveraging

__all__ = ["HeldSchedule", "StochasticWeightAveraging"]
