"""`GraftTrainer`: N networks, N optimizers, one train step."""

from keras_graft.trainer.graft_trainer import GraftTrainer

__all__ = ["GraftTrainer"]
