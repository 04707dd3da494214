"""The log that the best network is chosen by, and which way is better."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import keras

from keras_graft.distribution.keras_gaps import direction_of
from keras_graft.trainer.scoring import Scoring

DEFAULT = "val_accuracy"
MODES = ("auto", "min", "max")

_VALIDATION = "val_"


@dataclasses.dataclass(frozen=True)
class Monitor:
    """The log that the best network is chosen by.

    Attributes:
        log: Its name, such as `val_accuracy`.
        smaller_is_better: Which way is better.
        judged: Whether a callback makes it, which needs no validation data.
    """

    log: str
    smaller_is_better: bool
    judged: bool = False

    def of_network(self, k: int, validated: bool = True) -> str:
        """The network's own: `val_accuracy` becomes `val_network_0_accuracy`.

        Args:
            k: Position of the network.
            validated: Whether there is validation; without it the training
                log of the same name tells.
        """
        base = self.log.removeprefix(_VALIDATION)
        validated = validated or self.judged
        prefix = _VALIDATION if validated and base != self.log else ""
        return f"{prefix}network_{k}_{base}"

    @property
    def needs_validation(self) -> bool:
        return self.log.startswith(_VALIDATION) and not self.judged


def check_monitor(monitor: Any, mode: Any) -> None:
    """Refuses what can be no name of a log, or no mode.

    Args:
        monitor: What `GraftTrainer(monitor=...)` was given.
        mode: Likewise.

    Raises:
        ValueError: Naming the argument.
    """
    if not isinstance(monitor, str) or not monitor:
        raise ValueError(
            "`monitor` must be the name of a log, such as 'val_accuracy'. "
            f"Received: {monitor!r}"
        )
    if mode not in MODES:
        raise ValueError(
            "`mode` says which `monitor` is better and must be 'auto', 'min' "
            f"or 'max'. Received: {mode!r}"
        )


def resolved(
    monitor: str,
    mode: str,
    scoring: Scoring | None,
    judged: Mapping[str, str],
) -> Monitor:
    """What is monitored, and which way is better.

    Where the accuracy is asked for, as it is by default, and none is
    compiled, it is the loss.

    Args:
        monitor: Name of a log of all networks.
        mode: `"min"`, `"max"`, or `"auto"`: as the metric itself has it.
        scoring: The compiled loss and metrics; None before `compile`.
        judged: Logs of callbacks that judge networks, without `val_`, and
            which way is better.

    Raises:
        ValueError: If there is no such log, or it does not tell which way
            is better.
    """
    base = monitor.removeprefix(_VALIDATION)
    if base in judged and base != monitor:
        mode = judged[base] if mode == "auto" else mode
        return Monitor(monitor, mode == "min", judged=True)
    known = scoring.compared() if scoring and scoring.is_built else None
    if known is not None and base not in known:
        if monitor == DEFAULT and mode == "auto":
            return Monitor("val_loss", True)
        names = ", ".join(
            [
                *(f"'{name}', 'val_{name}'" for name in known),
                *(f"'val_{name}'" for name in judged),
            ]
        )
        raise ValueError(
            f"monitor='{monitor}' is no log that the networks are compared "
            f"by. The compiled loss and metrics give {names}. Give one of "
            "them as GraftTrainer(..., monitor=...), or add the metric to "
            "compile(metrics=...)."
        )
    if mode == "auto":
        mode = _direction(base, scoring)
    if mode is None:
        raise ValueError(
            f"monitor='{monitor}': nothing says whether a smaller or a "
            f"larger '{base}' is better. Say it: GraftTrainer(..., "
            f"monitor='{monitor}', mode='min') or mode='max'."
        )
    return Monitor(monitor, mode == "min")


def _direction(name, scoring):
    """`"min"`, `"max"`, or None where nobody knows."""
    for metric in _metrics(name, scoring):
        if metric.name == name or name.endswith(f"_{metric.name}"):
            found = _of_metric(metric)
            break
    else:
        found = None
    is_loss = name == "loss" or name.endswith("_loss")
    return found or ("min" if is_loss else None)


def _metrics(name, scoring):
    if scoring is not None and scoring.is_built:
        # A longer name is closer: `age_mae` is that of "age_mae", not "mae".
        return sorted(scoring.compiled_metrics(), key=lambda m: -len(m.name))
    try:
        metric = keras.metrics.get(name)
    except ValueError:
        return []
    if not isinstance(metric, keras.metrics.Metric):
        return []
    metric.name = name
    return [metric]


def _of_metric(metric):
    # Keras gives its counts no direction.
    counts = keras.metrics
    if isinstance(metric, counts.FalsePositives | counts.FalseNegatives):
        return "min"
    if isinstance(metric, counts.TruePositives | counts.TrueNegatives):
        return "max"
    return {"up": "max", "down": "min"}.get(direction_of(metric))
