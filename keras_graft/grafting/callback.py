"""Grafts between epochs."""

import logging

import keras
import numpy as np

from keras_graft.checks.numbers import is_number
from keras_graft.checks.numbers import is_whole
from keras_graft.grafting.coefficient import check_amplitude
from keras_graft.grafting.coefficient import check_slope
from keras_graft.grafting.graft_plan import BLENDS
from keras_graft.grafting.graft_plan import BLOCK
from keras_graft.grafting.graft_plan import NothingToGraftError
from keras_graft.grafting.sources import GammaSource
from keras_graft.grafting.sources import InternalSource
from keras_graft.grafting.sources import LayerSource
from keras_graft.grafting.sources import NoiseSource
from keras_graft.structure.kernel_measures import check_num_bins

_LOG = logging.getLogger(__name__)

SOURCES = ("external", "internal", "noise")
CRITERIA = ("entropy", "l1", "gamma")

# Which arguments have a meaning for which source, and which criterion.
_ONLY_FOR = {
    "criterion": ("external",),
    "amplitude": ("external",),
    "slope": ("external",),
    "num_bins": ("external",),
    "blend": ("external",),
    "threshold": ("internal", "noise"),
    "decay": ("noise",),
}
_ONLY_FOR_CRITERION = {
    "amplitude": ("entropy", "l1"),
    "slope": ("entropy", "l1"),
    "num_bins": ("entropy",),
}
_DEFAULTS = {
    "criterion": "entropy",
    "amplitude": 0.4,
    "slope": 10.0,
    "num_bins": 10,
    "blend": BLOCK,
    "threshold": 0.1,
    "decay": 0.975,
}


@keras.saving.register_keras_serializable(package="keras_graft")
class GraftCallback(keras.callbacks.Callback):
    """Grafts convolution kernels between the networks of a model.

    Works with any model that has a list `networks` of one architecture, such
    as `keras_graft.GraftTrainer`. A graft opens its epoch, so that the
    weights that are validated and saved at the end of an epoch are the same
    ones. Optimizer slots are left alone. A masked network is healed first,
    with the weights of the nearest live network upstream; one that is still
    not live is passed over.

    Logs `graft_coefficient` (mean over kernels and networks),
    `graft_coefficient_min` and `graft_coefficient_max`: 1.0, all weights
    kept, where an epoch began without a graft. `callback.coefficients` holds
    those of this epoch's graft by kernel, and is empty without one.

    Args:
        source: `"external"`: every network takes in weights of the one
            before it in the ring. `"internal"`: a network's largest filters
            are added to its invalid ones. `"noise"`: Gaussian noise is added
            to invalid filters. Defaults to `"external"`.
        criterion: How much information a layer holds, `"entropy"` or `"l1"`,
            or a filter, `"gamma"`: the scale of its channel in the
            BatchNormalization that the convolution feeds. Defaults to
            `"entropy"`.
        amplitude: The paper's A, in [0, 1]; 0 is plain averaging. Not with
            `"gamma"`. Defaults to 0.4.
        slope: The paper's c, at least 0, in 1 / unit of the criterion. Not
            with `"gamma"`. Defaults to 10.0.
        num_bins: Bins of the entropy's histogram, at least 2. Defaults to 10.
        blend: `"kernels"`: convolution kernels only. `"block"`: every other
            weight too, with the coefficient of the convolution that feeds
            it; with `"gamma"`, of the channel that it belongs to, and 0.5
            where that is not known. Defaults to `"block"`.
        threshold: l1 norm below which a filter is invalid, above 0. For the
            sources `"internal"` and `"noise"`. Defaults to 0.1.
        decay: The noise of epoch e has the standard deviation `decay**e`; in
            (0, 1]. Defaults to 0.975.
        every: Epochs from one graft to the next, at least 1. Defaults to 1.
        start: First epoch that begins with a graft, counted from 0. Defaults
            to 1: at epoch 0 there is nothing to graft yet.
        stop: First epoch without grafts again, or None. Defaults to None.
        strict: Whether to stop where there is nothing to graft: networks
            without convolutions, or with frozen ones only. Otherwise that is
            said once, and training goes on without grafts, until something
            is trainable. Defaults to False.

    Raises:
        ValueError: If an argument is out of range or has no meaning for the
            source. `fit` raises it if the networks' architectures differ, or
            with `strict` if there is nothing to graft.
    """

    def __init__(
        self,
        source: str = "external",
        criterion: str = "entropy",
        amplitude: float = 0.4,
        slope: float = 10.0,
        num_bins: int = 10,
        blend: str = "block",
        threshold: float = 0.1,
        decay: float = 0.975,
        every: int = 1,
        start: int = 1,
        stop: int | None = None,
        strict: bool = False,
    ) -> None:
        super().__init__()
        self._config = {
            "source": source,
            "criterion": criterion,
            "amplitude": amplitude,
            "slope": slope,
            "num_bins": num_bins,
            "blend": blend,
            "threshold": threshold,
            "decay": decay,
            "every": every,
            "start": start,
            "stop": stop,
            "strict": strict,
        }
        _check_one_of("source", source, SOURCES)
        _check_one_of("criterion", criterion, CRITERIA)
        _check_one_of("blend", blend, BLENDS)
        check_amplitude(amplitude)
        check_slope(slope)
        check_num_bins(num_bins)
        _check_range(
            "threshold",
            threshold,
            is_number(threshold) and threshold > 0,
            "above 0",
        )
        _check_range(
            "decay",
            decay,
            is_number(decay) and 0 < decay <= 1,
            "in (0, 1]",
        )
        _check_count("every", every, 1)
        _check_count("start", start, 0)
        _check_range(
            "stop",
            stop,
            stop is None or is_whole(stop, start + 1),
            "a whole number above `start`, or None",
        )
        _check_range("strict", strict, isinstance(strict, bool), "a bool")
        self._check_meaning()
        self.coefficients = {}
        self._source = _source_of(self._config)
        self._said = set()
        self._grafts = False

    def _check_meaning(self):
        source = self._config["source"]
        for name, sources in _ONLY_FOR.items():
            if source not in sources and self._config[name] != _DEFAULTS[name]:
                raise ValueError(
                    f"`{name}` has no meaning with source={source!r}, only "
                    f"with {' and '.join(map(repr, sources))}. Leave it out. "
                    f"Received: {name}={self._config[name]!r}"
                )
        criterion = self._config["criterion"]
        for name, criteria in _ONLY_FOR_CRITERION.items():
            value = self._config[name]
            if criterion not in criteria and value != _DEFAULTS[name]:
                raise ValueError(
                    f"`{name}` has no meaning with criterion={criterion!r}, "
                    f"only with {' and '.join(map(repr, criteria))}. Leave "
                    f"it out. Received: {name}={value!r}"
                )

    def get_config(self):
        return dict(self._config)

    @classmethod
    def from_config(cls, config):
        return cls(**config)

    def is_due(self, epoch: int) -> bool:
        """Whether epoch `epoch`, counted from 0, begins with a graft."""
        start, stop = self._config["start"], self._config["stop"]
        if epoch < start or (stop is not None and epoch >= stop):
            return False
        return (epoch - start) % self._config["every"] == 0

    def is_due_after(self, epoch: int) -> bool:
        """Whether an epoch after `epoch` may begin with a graft."""
        stop = self._config["stop"]
        return stop is None or any(map(self.is_due, range(epoch + 1, stop)))

    def check(self, model) -> bool:
        """Aligns the networks and says what is left out.

        Args:
            model: A model with a list `networks`, all built.

        Returns:
            Whether there is anything to graft.

        Raises:
            ValueError: If the networks' architectures differ, or with
                `strict` if there is nothing to graft.
        """
        networks = getattr(model, "networks", None)
        if not networks:
            raise ValueError(
                "GraftCallback needs a model with a list `networks`, such as "
                f"keras_graft.GraftTrainer. Received: {model!r}"
            )
        try:
            notes = self._source.align(networks)
        except NothingToGraftError as error:
            if self._config["strict"]:
                raise
            self._say([f"{error}\nTraining goes on without grafts."])
            return False
        self._say(notes)
        return True

    def _say(self, notes):
        for note in notes:
            if note not in self._said:
                self._said.add(note)
                _LOG.warning(note)

    def on_train_begin(self, logs=None):
        self._prepare()

    def _prepare(self):
        self._grafts = self.check(self.model)
        if not self._grafts:
            return
        optimizer = getattr(self.model, "optimizer", None)
        if optimizer is not None:
            self._source.add_averages(
                getattr(optimizer, "optimizers", [optimizer])
            )

    def on_epoch_begin(self, epoch, logs=None):
        self.coefficients = {}
        if self.is_due(epoch):
            health = getattr(self.model, "health", None)
            if health is not None:
                health.heal_masked()
            self.graft(epoch)

    def on_epoch_end(self, epoch, logs=None):
        if logs is None:
            return
        values = [c for row in self.coefficients.values() for c in row] or [1.0]
        logs["graft_coefficient"] = float(np.mean(values))
        logs["graft_coefficient_min"] = float(np.min(values))
        logs["graft_coefficient_max"] = float(np.max(values))

    def graft(self, epoch):
        """Grafts now.

        Args:
            epoch: Counted from 0; the noise depends on it.
        """
        # What was frozen may be trainable by now.
        if not self._grafts or self._source.plan.is_outdated():
            self._prepare()
        if not self._grafts:
            return
        self.coefficients = self._source.graft(self._live_networks(), epoch)

    def _live_networks(self):
        status = getattr(self.model, "status", None)
        num_networks = len(self.model.networks)
        if status is None:
            return list(range(num_networks))
        return [k for k in range(num_networks) if status[k] == "live"]


def _source_of(config):
    if config["source"] == "internal":
        return InternalSource(config["threshold"])
    if config["source"] == "noise":
        return NoiseSource(config["threshold"], config["decay"])
    if config["criterion"] == "gamma":
        return GammaSource(config["blend"])
    return LayerSource(
        config["blend"],
        config["criterion"],
        config["num_bins"],
        config["amplitude"],
        config["slope"],
    )


def _check_one_of(name, value, allowed):
    if value not in allowed:
        raise ValueError(
            f"`{name}` must be one of {', '.join(map(repr, allowed))}. "
            f"Received: {value!r}"
        )


def _check_count(name, value, lowest):
    fits = is_whole(value, lowest)
    _check_range(name, value, fits, f"a whole number, at least {lowest}")


def _check_range(name, value, fits, allowed):
    if not fits:
        raise ValueError(f"`{name}` must be {allowed}. Received: {value!r}")
