"""One bar for the whole run."""

import sys

import tqdm

from keras_graft.trainer.callback_order import Stage
from keras_graft.trainer.callback_order import StagedCallback


class Progress(StagedCallback):
    """Shows epoch, time left and a few numbers; the rest is in the CSV file.

    In a terminal a bar, elsewhere a line for each epoch.

    Args:
        epochs: Epochs of the run.
        steps: Steps in an epoch.
        score: The log that networks are judged by. Defaults to
            `"accuracy"`.
        file: Where to write. Defaults to standard error.
    """

    stage = Stage.LOG

    def __init__(self, epochs, steps, score="accuracy", file=None):
        super().__init__()
        self._epochs = epochs
        self._steps = steps
        self._columns = {
            "loss": "loss",
            score: score,
            f"val_{score}": "validation",
            f"val_ensemble_{score}": "ensemble",
        }
        self._file = file or sys.stderr
        self._bar = None
        self._done = 0

    def on_train_begin(self, logs=None):
        self._bar = tqdm.tqdm(
            total=self._epochs * self._steps,
            unit="step",
            file=self._file,
            dynamic_ncols=True,
            disable=not self._file.isatty(),
        )

    def on_epoch_begin(self, epoch, logs=None):
        self._bar.set_description(f"epoch {epoch + 1}/{self._epochs}")
        self._done = epoch * self._steps

    def on_train_batch_end(self, batch, logs=None):
        self._bar.update(self._done + batch + 1 - self._bar.n)

    def on_epoch_end(self, epoch, logs=None):
        columns = {
            column: f"{logs[key]:.4f}"
            for key, column in self._columns.items()
            if key in logs
        }
        self._bar.set_postfix(columns)
        if self._bar.disable:
            numbers = "  ".join(f"{k} {v}" for k, v in columns.items())
            self._file.write(f"epoch {epoch + 1}/{self._epochs}  {numbers}\n")
            self._file.flush()

    def on_train_end(self, logs=None):
        self._bar.close()
