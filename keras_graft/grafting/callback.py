"""Grafts between epochs."""

import dataclasses
import functools
import logging
import math
import numbers

import keras
import numpy as np

from keras_graft.grafting.averages import with_averages
from keras_graft.grafting.coefficient import check_amplitude
from keras_graft.grafting.coefficient import check_slope
from keras_graft.grafting.external import graft_external
from keras_graft.grafting.filter_sources import internal_graft
from keras_graft.grafting.filter_sources import noise_graft
from keras_graft.grafting.gamma import gamma_scales
from keras_graft.grafting.gamma import graft_gamma
from keras_graft.grafting.plan import BLENDS
from keras_graft.grafting.plan import BLOCK
from keras_graft.grafting.plan import KERNELS
from keras_graft.grafting.plan import graft_plan
from keras_graft.grafting.plan import write
from keras_graft.structure.kernel_measures import kernel_entropies
from keras_graft.structure.kernel_measures import kernel_l1

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

    Raises:
        ValueError: If an argument is out of range or has no meaning for the
            source. `fit` raises it if there is nothing to graft or the
            networks' architectures differ.
    """

    def __init__(
        self,
        source="external",
        criterion="entropy",
        amplitude=0.4,
        slope=10.0,
        num_bins=10,
        blend="block",
        threshold=0.1,
        decay=0.975,
        every=1,
        start=1,
        stop=None,
    ):
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
        }
        _check_one_of("source", source, SOURCES)
        _check_one_of("criterion", criterion, CRITERIA)
        _check_one_of("blend", blend, BLENDS)
        check_amplitude(amplitude)
        check_slope(slope)
        _check_count("num_bins", num_bins, 2)
        _check_range(
            "threshold", threshold, 0 < threshold < math.inf, "above 0"
        )
        _check_range("decay", decay, 0 < decay <= 1, "in (0, 1]")
        _check_count("every", every, 1)
        _check_count("start", start, 0)
        _check_range(
            "stop",
            stop,
            stop is None or (_is_whole(stop) and stop > start),
            "a whole number above `start`, or None",
        )
        self._check_meaning()
        self.coefficients = {}
        self._plan = None
        self._scales = None
        self._said = set()

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

    def check(self, model):
        """Aligns the networks and says what is left out.

        Args:
            model: A model with a list `networks`, all built.

        Raises:
            ValueError: If there is nothing to graft or the networks'
                architectures differ.
        """
        networks = getattr(model, "networks", None)
        if not networks:
            raise ValueError(
                "GraftCallback needs a model with a list `networks`, such as "
                f"keras_graft.GraftTrainer. Received: {model!r}"
            )
        external = self._config["source"] == "external"
        blend = self._config["blend"] if external else KERNELS
        self._plan = graft_plan(networks, blend)
        notes = [
            f"Not grafted: '{path}', since {reason}."
            for path, reason in self._plan.skipped
        ]
        if external and len(networks) == 1:
            notes.append("One network has no peers: grafting does nothing.")
        if self._by_gamma:
            notes += self._gamma_notes(networks)
        elif not self._plan.has_graph:
            notes.append(
                "A network, or a layer made of layers, has no graph (it is "
                "subclassed): the layers in it take the coefficient of the "
                "convolution created before them."
            )
        for note in notes:
            if note not in self._said:
                self._said.add(note)
                _LOG.warning(note)

    @property
    def _by_gamma(self):
        external = self._config["source"] == "external"
        return external and self._config["criterion"] == "gamma"

    def _gamma_notes(self, networks):
        self._scales = gamma_scales(networks, self._plan)
        notes = [
            f"No BatchNormalization with gammas takes '{path}' alone: its "
            "filters are weighed by the channels that they read, and "
            "averaged where those have no gammas either."
            for path in self._scales.unscaled
        ]
        if not self._scales.has_graph:
            notes.append(
                "A network, or a layer made of layers, has no graph (it is "
                "subclassed): a convolution in it is weighed by the first "
                "BatchNormalization created after it, and what reads its "
                "channels is not."
            )
        return notes

    def on_train_begin(self, logs=None):
        self._prepare()

    def _prepare(self):
        self.check(self.model)
        optimizer = getattr(self.model, "optimizer", None)
        if self._config["source"] != "external" or optimizer is None:
            return
        self._plan, origins = with_averages(
            self._plan, getattr(optimizer, "optimizers", [optimizer])
        )
        if self._by_gamma:
            of = self._scales.of
            self._scales = dataclasses.replace(
                self._scales, of=[*of, *(of[i] for i in origins)]
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
        if self._plan.is_outdated():
            self._prepare()
        live = self._live_networks()
        if self._config["source"] == "external":
            if len(live) > 1:
                self.coefficients = self._graft_external(live)
            return
        for i, site in enumerate(self._plan.kernels):
            kernels = site.read()
            grafted = [
                self._graft_filters(site, kernels[k], epoch, i, k) for k in live
            ]
            write(site, live, grafted)

    def _graft_external(self, live):
        if self._by_gamma:
            return graft_gamma(self._plan, self._scales, live)
        return graft_external(
            self._plan,
            live,
            self._information(),
            self._config["amplitude"],
            self._config["slope"],
        )

    def _graft_filters(self, site, kernel, epoch, i, k):
        threshold = self._config["threshold"]
        if self._config["source"] == "internal":
            return internal_graft(kernel, site.filter_axes, threshold)
        sigma = self._config["decay"] ** epoch
        # A function of the place alone, so that a resumed run repeats it.
        rng = np.random.default_rng([epoch, k, i])
        return noise_graft(kernel, site.filter_axes, threshold, sigma, rng)

    def _information(self):
        if self._config["criterion"] == "l1":
            return lambda kernels: [kernel_l1(kernel) for kernel in kernels]
        return functools.partial(
            kernel_entropies, num_bins=self._config["num_bins"]
        )

    def _live_networks(self):
        status = getattr(self.model, "status", None)
        num_networks = len(self.model.networks)
        if status is None:
            return list(range(num_networks))
        return [k for k in range(num_networks) if status[k] == "live"]


def _check_one_of(name, value, allowed):
    if value not in allowed:
        raise ValueError(
            f"`{name}` must be one of {', '.join(map(repr, allowed))}. "
            f"Received: {value!r}"
        )


def _is_whole(value):
    return isinstance(value, numbers.Integral)


def _check_count(name, value, lowest):
    fits = _is_whole(value) and value >= lowest
    _check_range(name, value, fits, f"a whole number, at least {lowest}")


def _check_range(name, value, fits, allowed):
    if not fits:
        raise ValueError(f"`{name}` must be {allowed}. Received: {value}")
