"""Which networks are live, and how well each one did in the last epoch."""

import logging
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_graft.optimizers.network_optimizers import has_scale_to_lower
from keras_graft.structure.variable_values import digest_of_weights
from keras_graft.trainer.choice import Choice
from keras_graft.trainer.healing import first_non_finite
from keras_graft.trainer.healing import heal
from keras_graft.trainer.skipped_steps import SkippedSteps
from keras_graft.trainer.status import LIVE
from keras_graft.trainer.status import MASKED
from keras_graft.trainer.status import RETIRED
from keras_graft.trainer.status import StatusList

_LOG = logging.getLogger(__name__)

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
        self._choice = Choice(trainer, self.scores)
        self.skipped = SkippedSteps(*shape)
        # Logs that no compiled metric makes, and which way is better.
        self.logs_of_judges: dict[str, str] = {}
        # Digests of the weights by position, of this process only.
        self._retired_with: dict[int, str] = {}

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

    def judged(self) -> tf.Tensor:
        """Shape (N,), float32: 1 for a network that is in validation's means.

        The live ones; where none is, all that are not retired.
        """
        live = self.live()
        some = tf.reduce_any(live > 0)
        return tf.where(some, live, self.not_retired())

    def lost(self) -> tf.Tensor:
        """Shape (N,), float32: 1 for a network whose metrics tell nothing.

        One that is retired or, since a single step may be the fault of its
        batch, was masked in two steps on end or more.
        """
        masked = tf.cast(self.masked.value > 1, "float32")
        return tf.maximum(masked, self.retired.value)

    def in_logs(self) -> tuple[tf.Tensor, tf.Tensor]:
        """What `Scoring.results` wants to know: `live()` and `lost()`."""
        return self.live(), self.lost()

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

    def _mask_idle(self):
        """Masks live networks that took none of an epoch's steps.

        Returns:
            By position, why.
        """
        masked = keras.ops.convert_to_numpy(self.masked).copy()
        found = {}
        for k, skipped in enumerate(self.skipped.counted()):
            if not skipped.all or self.status[k] != LIVE:
                continue
            optimizer = self._trainer.optimizer.optimizers[k]
            if skipped.first == 0 and has_scale_to_lower(optimizer):
                continue
            masked[k] = skipped.count
            found[k] = (
                f"it took none of {skipped.count} steps, since {skipped.why} "
                "was not finite"
            )
        self.masked.assign(masked)
        return found

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
        idle = self._mask_idle()
        status = list(self.status)
        steps = keras.ops.convert_to_numpy(self.masked)
        for k in range(len(status)):
            if status[k] != MASKED:
                continue
            weight = first_non_finite(self._trainer.networks[k])
            _LOG.warning(
                "network_%d is masked at the end of epoch %d: %s (%s).",
                k,
                epoch,
                idle.get(k)
                or f"for {steps[k]:.0f} steps its predictions or its loss have "
                "not been finite",
                f"first such weight: {weight}" if weight else "its weights are",
            )
            # One step alone may be the fault of its batch.
            if steps[k] < 2:
                continue
            if not graft_follows:
                self.retire(k, "no graft follows that could heal it")
            elif LIVE not in status:
                self.retire(k, "it has no live peer to be healed from")

    def revive(self) -> None:
        """Lets a retired network take part that has been given new weights.

        Called when a trainer is compiled, so that its optimizer is new too.
        """
        for k, network in enumerate(self._trainer.networks):
            if self.status[k] != RETIRED:
                continue
            weight = first_non_finite(network)
            before = self._retired_with.get(k)
            if weight or before in (None, digest_of_weights(network)):
                _LOG.warning(
                    "network_%d stays retired: %s. To let it take part, give "
                    'it other weights and set trainer.status[%d] = "live".',
                    k,
                    f"its weight {weight} is not finite"
                    if weight
                    else "it is not known to have other weights now",
                    k,
                )
                continue
            healings = keras.ops.convert_to_numpy(self.healings).copy()
            healings[k] = 0
            self.healings.assign(healings)
            self.status[k] = LIVE
            _LOG.warning(
                "network_%d is live again: it has been given new weights and "
                "is compiled anew.",
                k,
            )

    def remember_retired(self, k: int) -> None:
        """Notes with which weights a network is retired."""
        self._retired_with[k] = digest_of_weights(self._trainer.networks[k])

    @property
    def status(self) -> StatusList:
        return StatusList(self)

    def judged_by(self, judges: Sequence[Any]) -> None:
        """Takes note of the logs that a `fit` has beside compiled metrics.

        Args:
            judges: Its callbacks that judge networks.
        """
        self.logs_of_judges = {
            name: mode
            for judge in judges
            for name, mode in judge.compared.items()
        }

    def keep_scores(
        self, logs: Mapping[str, float], validated: bool = True
    ) -> None:
        """Remembers how well each network did, as `Choice.keep` has it."""
        self._choice.keep(logs, validated)

    def best(self) -> int:
        """Position of the live network with the best score.

        Raises:
            ValueError: As `Choice.best`.
        """
        live = keras.ops.convert_to_numpy(self.live())
        return self._choice.best(live, list(self.status))


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
