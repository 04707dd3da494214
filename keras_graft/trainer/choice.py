"""How well each network did, and which one is the best."""

import logging
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import keras

from keras_graft.trainer.monitors import Monitor

_LOG = logging.getLogger(__name__)


class Choice:
    """Remembers a score for each network, and chooses by it.

    Args:
        trainer: The trainer.
        scores: Its variable for them, shape (N,), NaN for none.
    """

    def __init__(self, trainer: Any, scores: keras.Variable):
        self._trainer = trainer
        self._scores = scores
        # What the scores are of; None where a file has brought them.
        self._scored_by: Monitor | None = None
        self._asked: tuple[str, str] | None = None
        self._notes: set[str] = set()
        self._said: set[str] = set()

    def keep(self, logs: Mapping[str, float], validated: bool = True) -> None:
        """Remembers how well each network did, if the logs tell.

        Args:
            logs: Logs of an epoch, those of validation with `val_`.
            validated: Whether there is validation. Without it the training
                log of the same name tells.
        """
        monitor = self._trainer.monitored()
        networks = range(len(self._trainer.networks))
        keys = [monitor.of_network(k, validated) for k in networks]
        if not all(key in logs for key in keys):
            return
        self._scores.assign([float(logs[key]) for key in keys])
        self._scored_by = monitor
        self._asked = (self._trainer.monitor, self._trainer.mode)
        self._notes = set()
        if monitor.needs_validation and not validated:
            self._notes.add(
                "there is no validation data, so that the training log "
                f"`{monitor.log.removeprefix('val_')}` decides"
            )
        if monitor.log != self._trainer.monitor:
            self._notes.add(
                "no metric `accuracy` is compiled, so that the least loss "
                "decides"
            )

    def best(self, live: Sequence[float], status: list[str]) -> int:
        """Position of the live network with the best score.

        Args:
            live: For each network 1 if it is live, else 0.
            status: The same in words, for the error.

        Raises:
            ValueError: Before the first epoch that tells, if no network is
                live, or if the last epoch was judged by another log.
        """
        monitor = self._monitor()
        scores = keras.ops.convert_to_numpy(self._scores)
        ranked = [
            (-score if monitor.smaller_is_better else score, -k)
            for k, score in enumerate(scores)
            if live[k] and score == score
        ]
        if not ranked:
            found = ", ".join(f"{score:g}" for score in scores)
            raise ValueError(
                f"No live network has a `{monitor.log}` that is a number. Call "
                "`fit`, with `validation_data` for a log of validation. "
                f"Status: {status}; `{monitor.log}`: {found}."
            )
        for note in sorted(self._notes - self._said):
            _LOG.warning("best_network: %s.", note)
        self._said |= self._notes
        return -max(ranked)[1]

    def _monitor(self):
        """What the scores are of, if that is what is asked for."""
        trainer, scored = self._trainer, self._scored_by
        if scored and self._asked == (trainer.monitor, trainer.mode):
            # Whatever is compiled by now.
            return scored
        monitor = trainer.monitored()
        if scored not in (None, monitor):
            raise ValueError(
                f"The networks were compared by `{scored.log}`, and are to be "
                f"chosen by `{monitor.log}`. Give `monitor` and `mode` before "
                "`fit`."
            )
        return monitor
