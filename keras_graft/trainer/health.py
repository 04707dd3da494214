"""Which networks are live, and how well each one did in the last epoch."""

import logging
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence

import keras
import tensorflow as tf

from keras_graft.trainer.healing import first_non_finite
from keras_graft.trainer.healing import heal

_LOG = logging.getLogger(__name__)

LIVE = "live"
MASKED = "masked"
RETIRED = "retired"

# A network that is masked once more after them is retired.
MAX_HEALINGS = 3


class Health:
    """Status and scores of a trainer's networks.

    They are variables of the trainer, so that a compiled step reads and
    writes them and that saving keeps them.

    Args:
        trainer: The trainer; its strategy's scope must be the current one.
    """

    def __init__(self, trainer):
        self._trainer = trainer
        shape = (len(trainer.networks),)
        # For how many steps on end a network has not been finite.
        self.masked = _flags(trainer, "masked", shape, "zeros")
        self.retired = _flags(trainer, "retired", shape, "zeros")
        self.healings = _flags(trainer, "healings", shape, "zeros")
        nan = keras.initializers.Constant(float("nan"))
        self.scores = _flags(trainer, "scores", shape, nan)

    @property
    def variables(self) -> list[keras.Variable]:
        """What a checkpoint must hold."""
        return [self.masked, self.retired, self.healings, self.scores]

    def live(self) -> tf.Tensor:
        """Shape (N,), float32: 1 for a network that is live, else 0."""
        finite = tf.cast(self.masked.value == 0, "float32")
        return finite * self.not_retired()

    def not_retired(self) -> tf.Tensor:
        """Shape (N,), float32: 0 for a network that is retired, else 1."""
        return 1.0 - self.retired.value

    def any_left(self) -> bool:
        """Whether there is a network that is not retired."""
        return any(status != RETIRED for status in self.status)

    def record(self, finite: tf.Tensor, kept: tf.Tensor) -> None:
        """Masks the networks that were not finite in this step.

        Args:
            finite: Shape (N,), float32, equal on every replica.
            kept: Scalar, float32: 0 for a batch that is left out, which
                tells nothing.
        """
        masked = (self.masked.value + 1.0) * (1.0 - finite)
        self.masked.assign(tf.where(kept > 0, masked, self.masked.value))

    def heal_masked(self) -> None:
        """Makes every masked network anew from its nearest live peer.

        The nearest is the next one upstream in the ring. A network that was
        healed often enough is retired instead; one without a live peer stays
        as it is.
        """
        self._mask_non_finite()
        before = list(self.status)
        for k, status in enumerate(before):
            if status != MASKED:
                continue
            healed = int(keras.ops.convert_to_numpy(self.healings)[k])
            if healed >= MAX_HEALINGS:
                self.retire(k, f"it was healed {healed} times already")
                continue
            upstream = [(k - i) % len(before) for i in range(1, len(before))]
            live = [j for j in upstream if before[j] == LIVE]
            if live:
                self._heal(k, live[0])

    def _mask_non_finite(self):
        """Masks live networks that hold a weight which is not finite.

        A step does not see all of them: statistics of BatchNormalization that
        are NaN leave the predictions in training finite. Nothing that such a
        network learns is kept, and a graft would hand them on.
        """
        masked = keras.ops.convert_to_numpy(self.masked).copy()
        for k, network in enumerate(self._trainer.networks):
            bad = first_non_finite(network) if self.status[k] == LIVE else None
            if bad is not None:
                # As good as two bad steps: no batch can be at fault.
                masked[k] = 2.0
                _LOG.warning(
                    "network_%d is masked: its weight %s is not finite.",
                    k,
                    bad,
                )
        self.masked.assign(masked)

    def _heal(self, k, peer):
        trainer = self._trainer
        networks, optimizers = trainer.networks, trainer.optimizer.optimizers
        with trainer.distribute_strategy.scope():
            heal(networks[k], optimizers[k], networks[peer], optimizers[peer])
        healings = keras.ops.convert_to_numpy(self.healings).copy()
        healings[k] += 1
        self.healings.assign(healings)
        self.status[k] = LIVE
        _LOG.warning(
            "network_%d is healed: it takes the weights of network_%d and "
            "starts with fresh optimizer slots (healing %d of %d).",
            k,
            peer,
            healings[k],
            MAX_HEALINGS,
        )

    def retire(self, k: int, reason: str) -> None:
        """Takes a network out for good.

        Args:
            k: Its position.
            reason: Why, for the log.
        """
        self.status[k] = RETIRED
        _LOG.warning("network_%d is retired: %s.", k, reason)

    def end_epoch(self, epoch: int, graft_follows: bool) -> None:
        """Names the masked networks, and retires those beyond help.

        Args:
            epoch: Counted from 0.
            graft_follows: Whether a later epoch may begin with a graft.
        """
        self._mask_non_finite()
        status = list(self.status)
        steps = keras.ops.convert_to_numpy(self.masked)
        for k in range(len(status)):
            if status[k] != MASKED:
                continue
            weight = first_non_finite(self._trainer.networks[k])
            _LOG.warning(
                "network_%d is masked at the end of epoch %d: for %d steps "
                "its predictions or its loss have not been finite (%s).",
                k,
                epoch,
                steps[k],
                f"first such weight: {weight}" if weight else "its weights are",
            )
            # One step alone may be the fault of its batch.
            if steps[k] < 2:
                continue
            if not graft_follows:
                self.retire(k, "no graft follows that could heal it")
            elif LIVE not in status:
                self.retire(k, "it has no live peer to be healed from")

    @property
    def status(self) -> "StatusList":
        return StatusList(self)

    def keep_scores(self, logs: Mapping[str, float]) -> None:
        """Remembers how well each network did, if the logs tell.

        Args:
            logs: Logs of an epoch, those of validation with `val_`.
        """
        keys = [
            _network_log(self._trainer.monitor, k)
            for k in range(len(self._trainer.networks))
        ]
        if all(key in logs for key in keys):
            self.scores.assign([float(logs[key]) for key in keys])

    def best(self, monitor: str) -> int:
        """Position of the live network with the best score.

        Args:
            monitor: Name of the log that the scores are of.

        Raises:
            ValueError: Before the first validated epoch, or if no network
                is live.
        """
        scores = keras.ops.convert_to_numpy(self.scores)
        live = keras.ops.convert_to_numpy(self.live())
        ranked = [
            (-score if _smaller_is_better(monitor) else score, -k)
            for k, score in enumerate(scores)
            if live[k] and score == score
        ]
        if not ranked:
            raise ValueError(
                f"No live network has a `{monitor}` yet. Call `fit` with "
                "`validation_data`, or choose another log with "
                "`GraftTrainer(..., monitor=...)`, such as "
                "monitor='accuracy' where there is no validation data. "
                f"Status: {list(self.status)}."
            )
        return -max(ranked)[1]


class StatusList(Sequence):
    """The status of each network; an entry can be assigned."""

    def __init__(self, health: Health):
        self._health = health

    def __len__(self) -> int:
        return self._health.masked.shape[0]

    def __getitem__(self, k: int) -> str:
        k = range(len(self))[k]
        if float(self._health.retired[k]):
            return RETIRED
        return MASKED if float(self._health.masked[k]) else LIVE

    def __setitem__(self, k: int, status: str) -> None:
        if status not in (LIVE, MASKED, RETIRED):
            raise ValueError(
                f"A status is 'live', 'masked' or 'retired'. Received: "
                f"{status!r}"
            )
        k = range(len(self))[k]
        for variable, name in (
            (self._health.masked, MASKED),
            (self._health.retired, RETIRED),
        ):
            values = keras.ops.convert_to_numpy(variable).copy()
            values[k] = float(status == name)
            variable.assign(values)

    def __iter__(self) -> Iterator[str]:
        return (self[k] for k in range(len(self)))

    def __eq__(self, other) -> bool:
        return list(self) == list(other)

    def __repr__(self) -> str:
        return repr(list(self))


def _network_log(monitor, k):
    """`val_accuracy` becomes `val_network_0_accuracy`."""
    if monitor.startswith("val_"):
        return f"val_network_{k}_{monitor.removeprefix('val_')}"
    return f"network_{k}_{monitor}"


def _smaller_is_better(monitor):
    return "loss" in monitor or "error" in monitor


def _flags(trainer, name, shape, initializer):
    return trainer.add_weight(
        name=name,
        shape=shape,
        initializer=initializer,
        trainable=False,
        dtype="float32",
        # Under a mixed policy, too, `call` reads them as they are.
        autocast=False,
        # Every replica writes the same values.
        aggregation="only_first_replica",
    )
