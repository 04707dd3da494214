"""Counts invalid filters while a model trains."""

import logging

import keras

from keras_graft.diagnosis.filter_norms import check_thresholds
from keras_graft.diagnosis.filter_norms import count_invalid
from keras_graft.diagnosis.kernels import kernels_to_read
from keras_graft.diagnosis.kernels import norms_of_filters

_LOG = logging.getLogger(__name__)


@keras.saving.register_keras_serializable(package="keras_graft")
class InvalidFilterMonitor(keras.callbacks.Callback):
    """Logs how many filters are invalid, at the end of every epoch.

    A filter is one output slice of a convolution kernel; it is invalid if
    its l1 norm is below `threshold` or not finite. A model with a list
    `networks`, such as `keras_graft.GraftTrainer`, gets one log for each of
    them, `network_0_invalid_filters`, ...; any other Keras model gets
    `invalid_filters`. Put it before callbacks that write logs.

    After `fit`, lists with one entry per network (a plain model is one) tell
    the story: `total_filters`, `before` (invalid filters when `fit` began)
    and `history` (one such list for each epoch that ended).

    Args:
        threshold: l1 norm below which a filter is invalid, above 0. Defaults
            to 0.1.

    Raises:
        ValueError: If `threshold` is out of range. `fit` raises it if a
            network has no convolution.

    Example:

    ```python
    monitor = keras_graft.InvalidFilterMonitor()
    model.fit(x, y, epochs=10, callbacks=[monitor])
    print(monitor.before, monitor.history[-1], monitor.total_filters)
    ```
    """

    def __init__(self, threshold: float = 0.1) -> None:
        super().__init__()
        (self.threshold,) = check_thresholds([threshold])
        self.before = []
        self.history = []
        self.total_filters = []
        self._keys = []
        self._kernels = []

    def get_config(self):
        return {"threshold": self.threshold}

    @classmethod
    def from_config(cls, config):
        return cls(**config)

    def on_train_begin(self, logs=None):
        networks = getattr(self.model, "networks", None)
        self._keys = ["invalid_filters"]
        if networks:
            self._keys = [
                f"network_{k}_invalid_filters" for k in range(len(networks))
            ]
        found = [kernels_to_read(n) for n in networks or [self.model]]
        self._kernels = [kernels for kernels, _ in found]
        for path, reason in found[0][1]:
            _LOG.warning("Not counted: '%s', since %s.", path, reason)
        self.total_filters = [
            sum(kernel.num_filters for kernel in kernels)
            for kernels in self._kernels
        ]
        self.before = self.count()
        self.history = []

    def on_epoch_end(self, epoch, logs=None):
        counts = self.count()
        self.history.append(counts)
        if logs is not None:
            logs.update(zip(self._keys, counts, strict=True))

    def count(self) -> list[int]:
        """Invalid filters of each network as it is now, once `fit` began."""
        return [
            sum(
                count_invalid(norms_of_filters(kernel), self.threshold)
                for kernel in kernels
            )
            for kernels in self._kernels
        ]
