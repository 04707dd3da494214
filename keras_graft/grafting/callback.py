"""Grafts between epochs, or in small moves between steps."""

import contextlib
import inspect
import logging

import keras
import numpy as np
import tensorflow as tf

from keras_graft.grafting.arguments import check_arguments
from keras_graft.grafting.arguments import source_of
from keras_graft.grafting.gentle_sources import StepSource
from keras_graft.grafting.graft_plan import NothingToGraftError
from keras_graft.grafting.pull import Course
from keras_graft.optimizers.rates import rate_to_keep

_LOG = logging.getLogger(__name__)


@keras.saving.register_keras_serializable(package="keras_graft")
class GraftCallback(keras.callbacks.Callback):
    """Grafts convolution kernels between the networks of a model.

    Works with any model that has a list `networks` of one architecture, such
    as `keras_graft.GraftTrainer`. A graft opens its epoch, so that the
    weights that are validated and saved at the end of an epoch are the same
    ones. Optimizer slots are left alone. A masked network is healed first,
    with the weights of the nearest live network upstream; one that is still
    not live is passed over.

    With `half_life`, or `source="exchange"`, grafts are gentle: after every
    `every_steps` steps the networks move a little, and stay apart. They are
    then healed when an epoch begins, and coefficients are taken there, too.

    Logs `graft_coefficient` (mean over kernels and networks),
    `graft_coefficient_min` and `graft_coefficient_max`: 1.0, all weights
    kept, where an epoch began without a graft; with `half_life` those of what
    is approached. `callback.coefficients` holds those of this epoch's graft
    by kernel, and is empty without one.

    Args:
        source: `"external"`: every network takes in weights of the one
            before it in the ring. `"internal"`: a network's largest filters
            are added to its invalid ones. `"noise"`: Gaussian noise is added
            to invalid filters. `"exchange"`: a random share of the weights
            goes on to the next network in the ring. Defaults to
            `"external"`.
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
        half_life: Epochs in which the networks' differences from `target`
            would halve, were they not trained; above 0. Or pairs `(first
            epoch, half_life)`, the first of epoch 0. None grafts at once,
            between epochs. Defaults to None.
        every_steps: Steps from one move to the next, at least 1. Defaults to
            10.
        target: What is approached: `"peer"`, the blend with the network
            before it that a graft would make, or `"mean"`, the mean of the
            live networks. Defaults to `"peer"`.
        follow_rate: Whether the moves shrink as the learning rate does, in
            proportion to its value in the first step. Defaults to False.
        share: Share of the weights that is exchanged at a time, in (0, 1).
            Defaults to 0.01.
        seed: Seed of what is exchanged, at least 0. Defaults to 0.

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
        half_life: float | Course | None = None,
        every_steps: int = 10,
        target: str = "peer",
        follow_rate: bool = False,
        share: float = 0.01,
        seed: int = 0,
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
            "half_life": half_life,
            "every_steps": every_steps,
            "target": target,
            "follow_rate": follow_rate,
            "share": share,
            "seed": seed,
        }
        check_arguments(self._config, _DEFAULTS)
        self.coefficients = {}
        self._source = source_of(self._config)
        self._said = set()
        self._grafts = False
        # The epoch whose steps are followed by moves, if any are.
        self._moves_in = None

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
            self._say(
                [f"{error}\nTraining goes on without grafts while that is so."]
            )
            return False
        self._say(notes)
        return True

    def _say(self, notes):
        for note in notes:
            if note not in self._said:
                self._said.add(note)
                _LOG.warning(note)

    def on_train_begin(self, logs=None):
        self._moves_in = None
        moves = isinstance(self._source, StepSource)
        if moves and not self._steps_per_epoch():
            raise ValueError(
                "Grafts after every few steps need to know how many steps an "
                "epoch has, which this data does not say. Give `fit` its "
                "`steps_per_epoch`."
            )
        self._prepare()

    def _steps_per_epoch(self):
        return (self.params or {}).get("steps")

    def _prepare(self):
        self._grafts = self.check(self.model)
        if not self._grafts:
            return
        optimizer = getattr(self.model, "optimizer", None)
        if optimizer is None:
            return
        optimizers = getattr(optimizer, "optimizers", [optimizer])
        self._source.add_averages(optimizers)
        if isinstance(self._source, StepSource):
            # A resumed run has other rates by now.
            first = getattr(optimizer, "compiled_rates", None)
            first = first or list(map(rate_to_keep, optimizers))
            self._source.follow(optimizers, first)

    def on_epoch_begin(self, epoch, logs=None):
        self.coefficients = {}
        self._moves_in = None
        if self.is_due(epoch):
            health = getattr(self.model, "health", None)
            if health is not None:
                health.heal_masked()
            self.graft(epoch)

    def on_train_batch_begin(self, batch, logs=None):
        # Before a step, so that what is validated and saved is what was
        # trained, and so that nobody waits for the logs of the step.
        if self._moves_in is None or not self._grafts:
            return
        steps = self._steps_per_epoch()
        step = self._moves_in * steps + batch
        since = getattr(self.model, "steps_per_execution", 1)
        if batch == 0:
            # The last execution of the epoch before may have been shorter.
            since = (steps - 1) % since + 1
        moves = self._source.moves_before(step, since)
        if moves:
            with _scope_of(self.model):
                self._source.move(self._live_now(), step, moves, steps)

    def on_epoch_end(self, epoch, logs=None):
        if logs is None:
            return
        values = [c for row in self.coefficients.values() for c in row] or [1.0]
        logs["graft_coefficient"] = float(np.mean(values))
        logs["graft_coefficient_min"] = float(np.min(values))
        logs["graft_coefficient_max"] = float(np.max(values))

    def graft(self, epoch):
        """Grafts now; with a gentle graft, from the next step on.

        Args:
            epoch: Counted from 0; the noise depends on it.
        """
        # What was frozen may be trainable by now.
        if not self._grafts or self._source.plan.is_outdated():
            self._prepare()
        if not self._grafts:
            return
        self.coefficients = self._source.graft(self._live_networks(), epoch)
        if isinstance(self._source, StepSource):
            self._moves_in = epoch

    def _live_networks(self):
        status = getattr(self.model, "status", None)
        num_networks = len(self.model.networks)
        if status is None:
            return list(range(num_networks))
        return [k for k in range(num_networks) if status[k] == "live"]

    def _live_now(self):
        """Shape (N,), float32; a trainer's health is not read by Python."""
        health = getattr(self.model, "health", None)
        if health is not None:
            return health.live()
        live = set(self._live_networks())
        everyone = range(len(self.model.networks))
        return tf.constant([float(k in live) for k in everyone])


_DEFAULTS = {
    name: parameter.default
    for name, parameter in inspect.signature(GraftCallback).parameters.items()
}


def _scope_of(model):
    strategy = getattr(model, "distribute_strategy", None)
    return contextlib.nullcontext() if strategy is None else strategy.scope()
