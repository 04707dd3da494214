"""Grafts in small moves after every few steps, each in one function."""

import abc
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_graft.grafting.averages import with_averages
from keras_graft.grafting.graft_plan import Site
from keras_graft.grafting.pull import Course
from keras_graft.grafting.pull import column
from keras_graft.grafting.pull import half_life_in
from keras_graft.grafting.pull import mean_of_live
from keras_graft.grafting.pull import peers_of
from keras_graft.grafting.pull import pull_share
from keras_graft.grafting.pull import ring_coefficients
from keras_graft.grafting.sources import LayerSource
from keras_graft.grafting.sources import PeerSource
from keras_graft.optimizers.rates import rated
from keras_graft.optimizers.rates import starting_rate

# Weights that are moved side by side: enough for all threads.
_AT_A_TIME = 8


class StepSource(PeerSource):
    """Moves weights of all live networks after every K-th step.

    `graft` opens an epoch and takes what holds throughout it. What `move` does
    is a function of the weights, of the epoch and the step alone: a resumed run
    repeats it.

    Args:
        blend: `"kernels"` or `"block"`.
        every_steps: K, counted from the run's first step.
    """

    def __init__(self, blend: str, every_steps: int):
        super().__init__(blend)
        self._every_steps = every_steps
        self._move: Callable | None = None
        self._epoch = 0

    def align(self, networks):
        self._move = None
        self._origins: list[int] = []
        return super().align(networks)

    def add_averages(self, optimizers):
        self.plan, self._origins = with_averages(self.plan, optimizers)

    def graft(self, live, epoch):
        self._epoch = epoch
        found = self._graft(live)
        return found if len(live) > 1 else {}

    def moves_before(self, step: int, since: int) -> int:
        """How many moves are due before a step.

        Args:
            step: Steps of the run before this one.
            since: Steps since moves could be made last; several where
                TensorFlow runs them on end.
        """
        before = max(step - since, 0)
        return step // self._every_steps - before // self._every_steps

    def move(
        self, live: tf.Tensor, step: int, moves: int, steps_per_epoch: int
    ) -> None:
        """Moves the weights.

        Args:
            live: Shape (N,), float32: 1 for a network that takes part.
            step: Steps of the run before this one.
            moves: How many are made in one, at least 1.
            steps_per_epoch: Steps of an epoch.
        """
        number = step // self._every_steps
        given = self._given(number, moves * self._every_steps, steps_per_epoch)
        if self._move is None:
            # Not called by way of `tf.function`, which would warn of several
            # traces where `fit` is called several times.
            self._move = self._function().get_concrete_function(live, *given)
        self._move(live, *given)

    def _function(self):
        sites = self._sites()

        # TensorFlow's own loop over Python's lists would take longer.
        @tf.function(autograph=False)
        def move(live, *given):
            prepared = self._prepared(live, *given)
            done: list[list] = []
            for i, site in enumerate(sites):
                # Not all at once: copies of the weights take memory.
                before = done[i - _AT_A_TIME] if i >= _AT_A_TIME else []
                with tf.control_dependencies(before):
                    done.append(self._move_site(i, site, live, prepared))

        return move

    def _sites(self):
        return [*self.plan.kernels, *self.plan.followers]

    def _move_site(self, i, site: Site, live, prepared):
        old = [tf.convert_to_tensor(v.value) for v in site.variables]
        moved = self._moved(i, tf.stack(list(map(_blendable, old))), prepared)
        there = tf.unstack(live > 0)
        written = []
        for k, new in enumerate(tf.unstack(moved)):
            variable = site.variables[k]
            if variable.constraint is not None:
                new = variable.constraint(new)
            # NaN in a network that is passed over stays what it is.
            new = tf.where(there[k], tf.cast(new, old[k].dtype), old[k])
            variable.value.assign(new)
            written.append(new)
        return written

    def follow(
        self, optimizers: Sequence[Any], first_rates: Sequence[Any]
    ) -> None:
        """Is told of the learning rates that moves may follow.

        Args:
            optimizers: The networks' optimizers.
            first_rates: What each was given as its rate, as `rate_to_keep`
                has it.

        Raises:
            ValueError: If it cannot be told with what rate they began.
        """
        del optimizers, first_rates  # A swap has no size.

    @abc.abstractmethod
    def _given(self, number: int, steps: int, steps_per_epoch: int) -> tuple:
        """What the function is given, as tensors.

        Args:
            number: Of this move in the run, from 1 on.
            steps: Steps since the last one.
            steps_per_epoch: Steps of an epoch.
        """

    @abc.abstractmethod
    def _prepared(self, live: tf.Tensor, *given: tf.Tensor) -> Any:
        """What `_moved` needs for all weights, computed once."""

    @abc.abstractmethod
    def _moved(self, i: int, weights: tf.Tensor, prepared: Any) -> tf.Tensor:
        """One weight of all networks after the move.

        Args:
            i: Its position among kernels and followers.
            weights: Shape (N, ...), float32 or float64.
            prepared: What `_prepared` returned.

        Returns:
            The same shape; what it says of networks that are not live is
            left out.
        """


class MeanPull(StepSource):
    """Every network moves towards the mean of the live ones.

    Args:
        blend: `"kernels"` or `"block"`.
        every_steps: K.
        half_life: Epochs that halve the difference, or their course.
        follow_rate: Whether moves shrink as the learning rate does.
    """

    def __init__(
        self,
        blend: str,
        every_steps: int,
        half_life: float | Course,
        follow_rate: bool,
    ):
        super().__init__(blend, every_steps)
        self._half_life = half_life
        self._follow_rate = follow_rate
        self._optimizers: Sequence[Any] = ()
        self._first_rate = 1.0

    def follow(self, optimizers, first_rates):
        if not self._follow_rate:
            return
        self._optimizers = rated(optimizers)
        self._first_rate = max(map(starting_rate, first_rates))
        if not self._first_rate > 0:
            raise ValueError(
                "`follow_rate` follows the learning rate over its value in "
                f"the first step, which is {self._first_rate}. Leave it out, "
                "or let the schedule begin above 0."
            )

    def _graft(self, live):
        share = [1.0 / max(1, len(live))] * len(live)
        return {site.path: share for site in self.plan.kernels}

    def _given(self, number, steps, steps_per_epoch):
        half_life = half_life_in(self._epoch, self._half_life)
        return (tf.constant(pull_share(steps, half_life, steps_per_epoch)),)

    def _prepared(self, live, share):
        return live, share * self._of_first_rate()

    def _moved(self, i, weights, prepared):
        live, share = prepared
        mean = mean_of_live(weights, live)
        return weights + tf.cast(share, weights.dtype) * (mean - weights)

    def _of_first_rate(self):
        if not self._follow_rate:
            return 1.0
        rates = [tf.cast(o.learning_rate, "float32") for o in self._optimizers]
        return tf.reduce_max(tf.stack(rates)) / self._first_rate


class PeerPull(MeanPull):
    """Every network moves towards its blend with the one before it.

    Args:
        graft: The graft whose result is approached.
        every_steps: K.
        half_life: As for `MeanPull`.
        follow_rate: Likewise.
    """

    def __init__(
        self,
        graft: LayerSource,
        every_steps: int,
        half_life: float | Course,
        follow_rate: bool,
    ):
        super().__init__(graft.blend, every_steps, half_life, follow_rate)
        self._settings = graft.amplitude, graft.slope
        self._information_of = graft.information
        self._information: np.ndarray | None = None

    def _graft(self, live):
        kernels = self.plan.kernels
        networks = len(kernels[0].variables)
        held = np.full((len(kernels), networks), np.nan, "float32")
        for i, site in enumerate(kernels):
            held[i, list(live)] = [
                self._information_of(kernel) for kernel in site.read(live)
            ]
        self._information = held
        there = np.isin(np.arange(networks), list(live)).astype("float32")
        peers = peers_of(tf.constant(there))
        kept = ring_coefficients(held, peers, *self._settings).numpy()
        return {
            site.path: row[list(live)].tolist()
            for site, row in zip(kernels, kept, strict=True)
        }

    def _given(self, number, steps, steps_per_epoch):
        share = super()._given(number, steps, steps_per_epoch)
        return (*share, tf.constant(self._information))

    def _prepared(self, live, share, information):
        peers = peers_of(live)
        kept = ring_coefficients(information, peers, *self._settings)
        share *= self._of_first_rate()
        # The last row: weights that no convolution governs.
        taken = share * tf.concat(
            [1 - kept, tf.fill([1, *peers.shape], 0.5)], 0
        )
        return peers, tf.unstack(taken)

    def _moved(self, i, weights, prepared):
        peers, taken = prepared
        kernel = self._sites()[i].kernel
        share = column(taken[-1 if kernel is None else kernel], weights)
        return weights + share * (tf.gather(weights, peers) - weights)


class ExchangeSource(StepSource):
    """A random share of the weights goes one place on in the ring.

    (arXiv 2405.17517 permutes them.) Vectors of one layer, such as the four
    of a BatchNormalization, go by channel, since half a channel's statistics
    are another's.

    Args:
        blend: `"kernels"` or `"block"`.
        every_steps: K.
        share: Of the weights, in (0, 1).
        seed: At least 0.
    """

    def __init__(self, blend: str, every_steps: int, share: float, seed: int):
        super().__init__(blend, every_steps)
        self._share = share
        self._seed = seed

    def _graft(self, live):
        kept = [1.0 - self._share] * len(live)
        return {site.path: kept for site in self.plan.kernels}

    def _given(self, number, steps, steps_per_epoch):
        return (tf.constant([self._seed, number], tf.int64),)

    def _prepared(self, live, seed):
        places, size = self._places()
        draws = tf.random.stateless_uniform([size], seed) < self._share
        return peers_of(live), [draws[a:b] for a, b in places]

    def _places(self):
        """For each weight where its draws are among all, and their number."""
        sites = self._sites()
        own = len(sites) - len(self._origins)
        found: dict = {}
        places, size = [], 0
        # An average goes with its weight.
        for i in [*range(own), *self._origins]:
            shape = sites[i].variables[0].shape
            key = (sites[i].path, *shape) if len(shape) == 1 else i
            if key not in found:
                found[key] = size, size + int(np.prod(shape))
                size = found[key][1]
            places.append(found[key])
        return places, size

    def _moved(self, i, weights, prepared):
        peers, draws = prepared
        drawn = tf.reshape(draws[i], [1, *weights.shape[1:]])
        return tf.where(drawn, tf.gather(weights, peers), weights)


def _blendable(value):
    # Half precision is too coarse to move in.
    return value if value.dtype == tf.float64 else tf.cast(value, tf.float32)
