"""SGD with momentum and weight decay as in the paper's recipe."""

import keras
from keras import ops

from keras_graft.checks.numbers import is_number


@keras.saving.register_keras_serializable(package="keras_graft")
class CoupledSGD(keras.optimizers.SGD):
    """SGD whose weight decay is part of the gradient.

    Each step is `g = gradient + weight_decay * w`, `m = momentum * m + g`,
    `w = w - learning_rate * m`: PyTorch's SGD, which the paper used. The
    weight decay of Keras' own SGD bypasses the momentum and is about ten
    times weaker at momentum 0.9. Decay decides how many filters die.

    Args:
        learning_rate: Float or Keras learning-rate schedule.
            Defaults to 0.1.
        momentum: In [0, 1). Defaults to 0.9.
        weight_decay: Added to every trainable variable's gradient, times the
            variable; at least 0. Defaults to 5e-4.
        **kwargs: As for `keras.optimizers.SGD`.
    """

    def __init__(
        self, learning_rate=0.1, momentum=0.9, weight_decay=5e-4, **kwargs
    ):
        if kwargs.pop("nesterov", False):
            raise ValueError(
                "CoupledSGD has no Nesterov momentum: the paper's recipe has "
                "none. Use keras.optimizers.SGD(nesterov=True)."
            )
        if not (is_number(weight_decay) and weight_decay >= 0):
            raise ValueError(
                "`weight_decay` must be a finite number, at least 0. "
                f"Received: {weight_decay!r}"
            )
        super().__init__(
            learning_rate=learning_rate, momentum=momentum, **kwargs
        )
        self.coupled_weight_decay = float(weight_decay)

    def update_step(self, gradient, variable, learning_rate):
        dtype = variable.dtype
        step = ops.cast(gradient, dtype)
        if self.coupled_weight_decay:
            decay = ops.cast(self.coupled_weight_decay, dtype)
            step = ops.add(step, ops.multiply(variable, decay))
        if self.momentum:
            m = self.momentums[self._get_variable_index(variable)]
            momentum = ops.cast(self.momentum, dtype)
            step = ops.add(ops.multiply(m, momentum), step)
            self.assign(m, step)
        rate = ops.cast(learning_rate, dtype)
        self.assign_sub(variable, ops.multiply(step, rate))

    def get_config(self):
        config = super().get_config()
        config["weight_decay"] = self.coupled_weight_decay
        return config
