"""`history.csv` and `coefficients.csv`, written whole after every epoch.

So a resumed run neither repeats a row nor keeps one of an epoch that it has
to repeat, and a file is never cut off in the middle of a row.
"""

import csv
import io
import pathlib
from collections.abc import Iterable
from collections.abc import Sequence
from typing import Any

from keras_graft.checkpoint.strict_json import check
from keras_graft.runs.whole_files import write_atomically
from keras_graft.trainer.callback_order import Stage
from keras_graft.trainer.callback_order import StagedCallback


class HistoryLogger(StagedCallback):
    """Writes the logs of every epoch so far: epoch, then logs by name.

    Args:
        path: CSV file.
    """

    stage = Stage.LOG

    def __init__(self, path: pathlib.Path):
        super().__init__()
        self._path = path

    def on_epoch_end(self, epoch, logs=None):
        self._write_all()

    def on_train_end(self, logs=None):
        # For a run that has ended before, whose file may be gone.
        self._write_all()

    def _write_all(self):
        history = self.model.history
        if not history.epoch:
            return
        names = sorted(history.history)
        count = len(history.epoch)
        columns = [_of_all_epochs(history.history[n], count) for n in names]
        rows = zip(history.epoch, *columns, strict=True)
        _write(self._path, [["epoch", *names], *rows])


class CoefficientLogger(StagedCallback):
    """Writes every graft's coefficients: epoch, kernel, one per network.

    Args:
        graft: The callback that grafts.
        path: CSV file.
    """

    stage = Stage.LOG

    def __init__(self, graft: Any, path: pathlib.Path):
        super().__init__()
        self._graft = graft
        self._path = path
        self._rows: list[list] = []

    def on_epoch_begin(self, epoch, logs=None):
        if not self._graft.coefficients:
            return
        live = [status == "live" for status in self.model.status]
        for kernel, row in self._graft.coefficients.items():
            values = iter(row)
            # A network that was passed over has none.
            cells = [f"{next(values):.6f}" if k else "nan" for k in live]
            self._rows.append([epoch, kernel, *cells])
        _write(self._path, self._rows)

    def on_train_end(self, logs=None):
        # As above.
        if self._rows:
            _write(self._path, self._rows)

    def get_state(self):
        return {"rows": self._rows}

    def set_state(self, state):
        rows = check(state["rows"], list[list[int | str]], "rows")
        columns = 2 + len(self.model.status)
        for i, row in enumerate(rows):
            if len(row) != columns or not _is_row(*row, self.params["epochs"]):
                raise ValueError(
                    f"rows[{i}] must be an epoch of the run, a kernel and "
                    f"{columns - 2} numbers as texts; it is {row}"
                )
        self._rows = rows


def _is_row(epoch, kernel, *rest):
    *cells, epochs = rest
    if type(epoch) is not int or not 0 <= epoch < epochs:
        return False
    if not all(isinstance(text, str) for text in (kernel, *cells)):
        return False
    try:
        return len([float(cell) for cell in cells]) > 0
    except ValueError:
        return False


def _of_all_epochs(values, count):
    """A log that older versions did not write has none for their epochs."""
    return [*[float("nan")] * (count - len(values)), *map(float, values)]


def _write(path: pathlib.Path, rows: Iterable[Sequence]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    write_atomically(path, text.getvalue())
