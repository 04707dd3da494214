"""Stochastic weight averaging: ships the mean of the last epochs' weights."""

from keras_graft.swa.callback import StochasticWeightAveraging
from keras_graft.swa.held_schedule import HeldSchedule

__all__ = ["HeldSchedule", "StochasticWeightAveraging"]
