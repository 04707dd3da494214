"""Which networks are live, and how well each one did in the last epoch."""

from collections.abc import Iterator
from collections.abc import Sequence

import keras
import tensorflow as tf

LIVE = "live"
MASKED = "masked"
RETIRED = "retired"


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
        self.masked = _flags(trainer, "masked", shape, "zeros")
        self.retired = _flags(trainer, "retired", shape, "zeros")
        nan = keras.initializers.Constant(float("nan"))
        self.scores = _flags(trainer, "scores", shape, nan)

    def live(self) -> tf.Tensor:
        """Shape (N,), float32: 1 for a network that is live, else 0."""
        return (1.0 - self.masked.value) * self.not_retired()

    def not_retired(self) -> tf.Tensor:
        """Shape (N,), float32: 0 for a network that is retired, else 1."""
        return 1.0 - self.retired.value

    def record(self, live: tf.Tensor) -> None:
        """Marks the networks that were not live in this step as masked.

        Args:
            live: Shape (N,), float32, equal on every replica.
        """
        self.masked.assign(1.0 - live)

    @property
    def status(self) -> "StatusList":
        return StatusList(self)

    def with_recorder(self, callbacks):
        """Puts the recorder before the callbacks that a user gave."""
        recorder = _Recorder(self._trainer)
        if isinstance(callbacks, keras.callbacks.CallbackList):
            callbacks.callbacks.insert(0, recorder)
            recorder.set_model(self._trainer)
            return callbacks
        if callbacks is None:
            callbacks = []
        if isinstance(callbacks, keras.callbacks.Callback):
            callbacks = [callbacks]
        return [recorder, *callbacks]

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


class _Recorder(keras.callbacks.Callback):
    """Logs learning rates and keeps each network's score."""

    def __init__(self, trainer):
        super().__init__()
        self._trainer = trainer

    def on_epoch_end(self, epoch, logs=None):
        trainer = self._trainer
        for k, optimizer in enumerate(trainer.optimizer.optimizers):
            rate = float(keras.ops.convert_to_numpy(optimizer.learning_rate))
            logs[f"learning_rate_network_{k}"] = rate
        keys = [
            _network_log(trainer.monitor, k)
            for k in range(trainer.num_networks)
        ]
        if all(key in logs for key in keys):
            trainer.health.scores.assign([float(logs[key]) for key in keys])


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
        # Every replica writes the same values.
        aggregation="only_first_replica",
    )
