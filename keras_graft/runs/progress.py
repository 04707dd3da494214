"""One line an epoch; in a terminal there is a bar in it while it runs."""

import contextlib
import shutil
import sys
import time
from collections.abc import Iterable
from collections.abc import Iterator

import tqdm

from keras_graft.trainer.callback_order import Stage
from keras_graft.trainer.callback_order import StagedCallback

_COLUMNS = 100


class Progress(StagedCallback):
    """Shows epochs and a few numbers; the rest is in the CSV file.

    A line for each epoch that has ended, of 100 columns at most. In a
    terminal, the one that runs has a bar and the time left of the run.

    Args:
        epochs: Epochs of the run.
        steps: Steps in an epoch.
        file: Where to write. Defaults to standard error.
        score: The log that networks are judged by. Defaults to
            `"accuracy"`.
    """

    stage = Stage.LOG

    def __init__(self, epochs, steps, file=None, score="accuracy"):
        super().__init__()
        self._epochs = epochs
        self._steps = steps
        self._numbers = {
            "loss": "loss",
            score: score,
            f"val_{score}": "validation",
            f"val_ensemble_{score}": "ensemble",
        }
        self._file = file or sys.stderr
        self._bar = None
        self._epoch = 0
        # When a step of this start had ended, and how many of the run.
        self._since = None

    def on_train_begin(self, logs=None):
        self._since = None

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch
        if self._file.isatty():
            self._bar = tqdm.tqdm(
                total=self._steps,
                desc=f"{self._name()}{self._left(epoch * self._steps)}",
                bar_format="{desc} |{bar}|",
                file=self._file,
                ncols=min(_COLUMNS, shutil.get_terminal_size().columns),
                leave=False,
            )

    def on_train_batch_end(self, batch, logs=None):
        if self._bar is None:
            return
        done = self._epoch * self._steps + batch + 1
        # The first step makes the graph, and tells nothing of the others.
        self._since = self._since or (time.monotonic(), done)
        self._bar.set_description_str(
            f"{self._name()}{self._left(done)}", refresh=False
        )
        self._bar.update(batch + 1 - self._bar.n)

    def on_epoch_end(self, epoch, logs=None):
        self.clear()
        numbers = "".join(
            f"  {name} {_short(logs[key])}"
            for key, name in self._numbers.items()
            if key in logs
        )
        self._file.write(f"{self._name()}{numbers}\n")
        self._file.flush()

    def clear(self):
        """Takes the bar away, for whoever has something to say."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _name(self):
        return f"epoch {self._epoch + 1}/{self._epochs}"

    def _left(self, done):
        """The time left of the run when so many of its steps are done."""
        since, before = self._since or (0.0, done)
        if done == before:
            return ""
        # Validation, grafts and checkpoints between the steps count as well.
        of_a_step = (time.monotonic() - since) / (done - before)
        seconds = of_a_step * (self._epochs * self._steps - done)
        return f"  {tqdm.tqdm.format_interval(seconds)} left"


@contextlib.contextmanager
def bars_cleared(callbacks: Iterable) -> Iterator[None]:
    """Takes away what a training that breaks off leaves of a bar."""
    try:
        yield
    finally:
        for callback in callbacks:
            if isinstance(callback, Progress):
                callback.clear()


def _short(number):
    # Of a network that diverges the loss may have forty digits.
    return f"{number:.4f}" if abs(number) < 1e6 else f"{number:.3e}"
