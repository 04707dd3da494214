"""A run in which nothing was trained ends with exit code 5, and says why."""

import keras
import numpy as np
import pytest
from absl import flags as absl_flags

from keras_graft import flags
from keras_graft.runs import run as one_run
from keras_graft.runs.exit_codes import RunError
from keras_graft.runs.results import read_history
from keras_graft.runs.run_logs import HistoryLogger
from keras_graft.runs.signals import StopSignals

SMALL = (
    "--train_examples=160",
    "--num_networks=2",
    "--batch_size=32",
    "--model=resnet8",
    "--mutual_weight=0",
    "--nograft",
    "--epochs=1",
    "--workdir=run",
)


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def start(*arguments):
        values = absl_flags.FlagValues()
        flags.define(values)
        settings = flags.parse(["launch", *SMALL, *arguments], values)
        with StopSignals() as signals:
            return one_run.run(settings, signals)

    return start


def save_teacher(path, kernel):
    dense = keras.layers.Dense(10)
    teacher = keras.Sequential(
        [keras.Input((8, 8, 1)), keras.layers.Flatten(), dense], name="tutor"
    )
    dense.kernel.assign(np.full((64, 10), kernel))
    teacher.save(path)


@pytest.mark.parametrize(
    ("kernel", "more", "message"),
    [
        # Its logits are infinite, so that each update would be NaN.
        (3e38, [], "Every network diverged"),
        # No gradient fits into float16, and the scale is still sought.
        pytest.param(
            0.1,
            ["--precision=float16", "--teacher_weight=1e30"],
            "No network took a single step",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_every_update_thrown_away_is_exit_5(
    run, tmp_path, kernel, more, message
):
    save_teacher(tmp_path / "teacher.keras", kernel)
    with pytest.raises(RunError, match=message) as error:
        run(f"--teachers={tmp_path}/teacher.keras", *more)
    assert error.value.exit_code == 5
    assert not (tmp_path / "run" / "shipped.keras").exists()
    logs = read_history(tmp_path / "run" / "history.csv")
    assert [logs[f"network_{k}_skipped_steps"] for k in range(2)] == [[4], [4]]


def test_a_teacher_that_is_not_finite_is_refused_by_name(run, tmp_path):
    save_teacher(tmp_path / "teacher.keras", np.nan)
    with pytest.raises(RunError, match="The teacher 'tutor'.*kernel") as error:
        run(f"--teachers={tmp_path}/teacher.keras")
    assert error.value.exit_code == 1
    assert not (tmp_path / "run" / "history.csv").exists()


def test_a_log_that_an_older_version_did_not_write_has_no_value(tmp_path):
    logger = HistoryLogger(tmp_path / "history.csv")
    history = keras.callbacks.History()
    history.epoch = [0, 1, 2]
    history.history = {"loss": [3.0, 2.0, 1.0], "new": [5]}
    model = keras.Model()
    model.history = history
    logger.set_model(model)
    logger.on_epoch_end(2)
    found = read_history(tmp_path / "history.csv")
    assert found["loss"] == [3.0, 2.0, 1.0]
    np.testing.assert_array_equal(found["new"], [np.nan, np.nan, 5.0])
