"""Optimizers with a lower learning rate for all but a network's classifier.

Keras has one learning rate for an optimizer (3.15), and an optimizer for each
part of a network would count, clip and save apart.
"""

import keras
from keras import ops

from keras_graft.checks.numbers import is_number
from keras_graft.checks.numbers import is_whole
from keras_graft.optimizers.coupled_sgd import CoupledSGD


class _BackboneRate:
    """What is put before an optimizer.

    Args:
        *args: As for the optimizer.
        backbone_rate: Factor of the learning rate of the backbone, above 0.
        head_variables: How many of the last variables are no backbone.
        decoupled_decay: Times the weight and its learning rate, taken from
            the weight in each step, as `weight_decay` of Keras' optimizers.
        **kwargs: As for the optimizer, without its `weight_decay` unless that
            is a part of the gradient.
    """

    def __init__(
        self,
        *args,
        backbone_rate=1.0,
        head_variables=2,
        decoupled_decay=0.0,
        **kwargs,
    ):
        super().__init__(*args, **kwargs)
        if not (is_number(backbone_rate) and backbone_rate > 0):
            raise ValueError(
                "`backbone_rate` must be a number above 0; freeze layers that "
                f"are to stay. Received: {backbone_rate!r}"
            )
        if not is_whole(head_variables, 0):
            raise ValueError(
                "`head_variables` must be a whole number, at least 0. "
                f"Received: {head_variables!r}"
            )
        self.backbone_rate = float(backbone_rate)
        self.head_variables = int(head_variables)
        self.decoupled_decay = float(decoupled_decay)

    def update_step(self, gradient, variable, learning_rate):
        position = self._get_variable_index(variable)
        backbone = len(self._trainable_variables) - self.head_variables
        if position < backbone:
            factor = ops.cast(self.backbone_rate, learning_rate.dtype)
            learning_rate = learning_rate * factor
        if self.decoupled_decay:
            decay = ops.cast(
                learning_rate * self.decoupled_decay, variable.dtype
            )
            self.assign_sub(variable, ops.multiply(variable, decay))
        super().update_step(gradient, variable, learning_rate)

    def get_config(self):
        return {
            **super().get_config(),
            "backbone_rate": self.backbone_rate,
            "head_variables": self.head_variables,
            "decoupled_decay": self.decoupled_decay,
        }


@keras.saving.register_keras_serializable(package="keras_graft")
class BackboneRateSGD(_BackboneRate, CoupledSGD):
    """`CoupledSGD` with a lower rate for the backbone."""


@keras.saving.register_keras_serializable(package="keras_graft")
class BackboneRateAdam(_BackboneRate, keras.optimizers.Adam):
    """Adam and AdamW with a lower rate for the backbone."""


@keras.saving.register_keras_serializable(package="keras_graft")
class BackboneRateLion(_BackboneRate, keras.optimizers.Lion):
    """Lion with a lower rate for the backbone."""


@keras.saving.register_keras_serializable(package="keras_graft")
class BackboneRateMuon(_BackboneRate, keras.optimizers.Muon):
    """Muon with a lower rate for the backbone."""
