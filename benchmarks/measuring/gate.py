"""A `fit` whose epochs wait until they are asked for."""

import time
from collections.abc import Callable

import numpy as np

from keras_graft.trainer.callback_order import Stage
from keras_graft.trainer.callback_order import StagedCallback
from measuring.side import Channel


class Gate(StagedCallback):
    """Opens an epoch when it is asked for, and times it.

    It is the first callback to be called when an epoch begins, so that all of
    an epoch lies between two of its calls: graft, training, validation,
    checkpoint. What the input pipeline draws ahead while the gate is closed
    was drawn ahead by the epoch before, too.

    Answers to `epoch`: `seconds` of the whole epoch; `open` (until the first
    step: the graft), `train`, `validate` and `close` (checkpoint), which sum
    up to `seconds`; `first_step`, from the beginning to the end of the first
    step. With `cpu_` before the name: processor seconds of all threads.

    Args:
        channel: Where requests come from.
        started: Both clocks when building began.
        about: Function of no arguments whose dict is added to each answer.
        tools: By request: a function of the request's other values that
            returns the answer.
    """

    stage = Stage.WEIGHT_SWAP

    def __init__(
        self,
        channel: Channel,
        started: np.ndarray,
        about: Callable[[], dict],
        tools: dict[str, Callable[..., dict]],
    ):
        super().__init__()
        self._channel = channel
        self._started = started
        self._about = about
        self._tools = tools
        self._marks: dict[str, np.ndarray] = {}

    def on_epoch_begin(self, epoch, logs=None):
        now = clocks()
        if not self._marks:
            self._channel.send(**named(build_seconds=now - self._started))
        else:
            self._channel.send(**self._times(now), **self._about())
        request = self._channel.receive()
        while request["do"] != "epoch":
            arguments = {k: v for k, v in request.items() if k != "do"}
            self._channel.send(**self._tools[request["do"]](**arguments))
            request = self._channel.receive()
        self._marks = {"begin": clocks()}

    def on_train_batch_begin(self, batch, logs=None):
        self._marks.setdefault("first_batch", clocks())

    def on_train_batch_end(self, batch, logs=None):
        now = clocks()
        self._marks.setdefault("first_step", now)
        self._marks["last_step"] = now

    def on_test_end(self, logs=None):
        self._marks["validated"] = clocks()

    def _times(self, end):
        marks = self._marks
        return named(
            seconds=end - marks["begin"],
            first_step=marks["first_step"] - marks["begin"],
            open=marks["first_batch"] - marks["begin"],
            train=marks["last_step"] - marks["first_batch"],
            validate=marks["validated"] - marks["last_step"],
            close=end - marks["validated"],
        )


def clocks():
    """Seconds on the wall, and of the processor by all threads."""
    return np.array([time.perf_counter(), time.process_time()])


def named(**times):
    """Differences of `clocks()`, as an answer has them."""
    answer = {}
    for name, (seconds, cpu_seconds) in times.items():
        answer[name] = float(seconds)
        answer[f"cpu_{name}"] = float(cpu_seconds)
    return answer
