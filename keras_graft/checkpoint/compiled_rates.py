"""Which learning rate counts where a run is compiled with another one."""

import json
import logging
from collections.abc import Sequence
from typing import Any

from keras_graft.checks.numbers import is_number
from keras_graft.structure.printable import printable

_LOG = logging.getLogger(__name__)


def warn_of_rates(before: Sequence | None, now: Sequence) -> None:
    """Says so if a resumed run is compiled with other learning rates.

    Args:
        before: What each network's optimizer was compiled with when the
            checkpoint was written: a number, the config of a schedule, or a
            list of them. None where that is not known.
        now: What it is compiled with now.
    """
    if before is None or before == (now := as_json(now)):
        return
    changes = ", ".join(
        f"network_{k} {_named(old)} -> {_named(new)}"
        for k, (old, new) in enumerate(zip(before, now, strict=False))
        if old != new
    )
    # A rate is a variable, which is restored; a schedule is none.
    counts = (
        "The schedule of this compile counts, from the step that the "
        "checkpoint has reached."
        if any(isinstance(rate, dict | str) for rate in now)
        else "The learning rate of the checkpoint counts. For another one, "
        "write trainer.optimizer.learning_rate = ... in a callback's "
        "on_train_begin."
    )
    _LOG.warning(
        "This trainer is compiled with other learning rates than the "
        "checkpoint's run (%s). %s",
        printable(changes),
        counts,
    )


def as_json(rates: Any) -> Any:
    """Learning rates as they come back from a checkpoint."""
    return json.loads(json.dumps(rates, default=str))


def _named(rate):
    if isinstance(rate, dict):
        config = rate.get("config")
        start = None
        # From a file, which may hold anything here.
        if isinstance(config, dict):
            start = config.get("initial_learning_rate")
        name = rate.get("class_name", "schedule")
        return f"{name}({start:g})" if is_number(start) else str(name)
    return f"{rate:g}" if isinstance(rate, float) else str(rate)
