"""Stochastic weight averaging: ships the mean of the last epochs' weights."""

from keras_graft.optimizers.held_schedule import HeldSchedule
from keras_graft.swa.callback import StochasticWeightAveraging
from keras_graft.swa.mean_network import mean_network

__all__ = ["HeldSchedule", "StochasticWeightAveraging", "mean_network"]
