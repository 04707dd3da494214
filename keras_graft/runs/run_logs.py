"""`history.csv` and `coefficients.csv`, written whole after every epoch.

So a resumed run neither repeats a row nor keeps one of an epoch that it has
to repeat, and a file is never cut off in the middle of a row.
"""

import pathlib
from typing import Annotated
from typing import Any

import msgspec

from keras_graft.checkpoint.strict_json import check
from keras_graft.runs.csv_tables import write_table
from keras_graft.trainer.callback_order import Stage
from keras_graft.trainer.callback_order import StagedCallback

# As it is written below.
_Coefficient = Annotated[
    str, msgspec.Meta(pattern=r"^(nan|-?inf|-?\d+\.\d{6})\Z")
]


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
        write_table(self._path, [["epoch", *names], *rows])


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
        write_table(self._path, self._rows)

    def on_train_end(self, logs=None):
        # As above.
        if self._rows:
            write_table(self._path, self._rows)

    def get_state(self):
        return {"rows": self._rows}

    def set_state(self, state):
        last = self.params["epochs"] - 1
        epoch = Annotated[int, msgspec.Meta(ge=0, le=last)]
        cells = [_Coefficient] * len(self.model.status)
        row: Any = tuple[epoch, str, *cells]  # type: ignore[valid-type]
        self._rows = list(map(list, check(state["rows"], list[row], "rows")))


def _of_all_epochs(values, count):
    """A log that older versions did not write has none for their epochs."""
    return [*[float("nan")] * (count - len(values)), *map(float, values)]
