"""What a run shows of itself while it trains."""

import io
import re
import time

import pytest

from keras_graft.runs.progress import Progress
from keras_graft.runs.progress import bars_cleared

LOGS = {
    "loss": 0.75,
    "accuracy": 0.5,
    "val_accuracy": 0.25,
    "val_ensemble_accuracy": 1 / 3,
    "val_loss": 9.0,
}
LINE = "loss 0.7500  accuracy 0.5000  validation 0.2500  ensemble 0.3333"


class Terminal(io.StringIO):
    def isatty(self):
        return True

    def shown(self):
        """Its lines, as they are seen when all is written."""
        lines = []
        for text in self.getvalue().split("\n"):
            seen = ""
            for part in text.split("\r"):
                seen = part + seen[len(part) :]
            lines.append(seen.rstrip())
        return lines


@pytest.fixture
def clock(monkeypatch):
    """Seconds that a test sets."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setenv("COLUMNS", "200")
    return now


def step(progress, batch):
    time.sleep(0.11)  # tqdm draws no faster.
    progress.on_train_batch_end(batch)


def test_log_has_one_line_an_epoch_and_no_bar():
    log = io.StringIO()
    progress = Progress(12, 1, log)
    progress.on_train_begin()
    for epoch in range(2):
        progress.on_epoch_begin(epoch)
        progress.on_train_batch_end(0)
        progress.on_epoch_end(epoch, LOGS)
    assert log.getvalue() == f"epoch 1/12  {LINE}\nepoch 2/12  {LINE}\n"


def test_terminal_shows_a_bar_until_the_epoch_has_ended(clock):
    terminal = Terminal()
    progress = Progress(3, 4, terminal)
    progress.on_train_begin()
    progress.on_epoch_begin(0)
    # The first step is slow, and says nothing of the others.
    clock[0] += 500
    step(progress, 0)
    assert re.fullmatch(r"epoch 1/3 \|[^|]+\|", terminal.shown()[-1])
    clock[0] += 10
    step(progress, 1)
    assert re.fullmatch(r"epoch 1/3  01:40 left \|#+ +\|", terminal.shown()[-1])
    assert len(terminal.shown()[-1]) == 100
    progress.on_epoch_end(0, LOGS)
    assert terminal.shown() == [f"epoch 1/3  {LINE}", ""]
    progress.on_epoch_begin(1)
    assert "epoch 2/3 " in terminal.shown()[-1]
    progress.clear()


def test_time_left_of_a_resumed_run_is_that_of_the_rest(clock):
    terminal = Terminal()
    progress = Progress(100, 10, terminal)
    progress.on_train_begin()
    progress.on_epoch_begin(90)
    for batch in range(2):
        clock[0] += 2
        step(progress, batch)
    assert "epoch 91/100  03:16 left" in terminal.shown()[-1]
    progress.clear()


def test_nothing_of_a_bar_is_left_when_training_breaks_off(clock):
    terminal = Terminal()
    progress = Progress(3, 4, terminal)
    with pytest.raises(KeyError), bars_cleared([object(), progress]):
        progress.on_epoch_begin(0)
        raise KeyError
    assert terminal.shown() == [""]


def test_line_of_a_network_that_diverges_fits():
    log = io.StringIO()
    progress = Progress(1000, 1, log)
    progress.on_epoch_begin(998)
    progress.on_epoch_end(998, {**LOGS, "loss": 3e38})
    (line,) = log.getvalue().splitlines()
    assert "loss 3.000e+38  accuracy" in line
    assert len(line) <= 100
