"""What trackers are told of a run, and of one that goes on."""

import glob
import sys

import pytest
from launching import launch_here

SHORT = (
    "--num_networks=1",
    "--train_examples=64",
    "--batch_size=32",
    "--schedule=constant",
    "--nograft",
)


def train_twice(folder, tracker):
    """A run of two epochs, and one more that goes on where it ended."""
    for epochs in (2, 3):
        arguments = (*SHORT, f"--track={tracker}", f"--epochs={epochs}")
        assert launch_here(*arguments, f"--workdir={folder}") == (0, "")


@pytest.mark.slow
def test_tensorboard_goes_on_in_the_same_folder(tmp_path):
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator"
    )
    train_twice(tmp_path / "run", "tensorboard")
    folder = tmp_path / "run" / "tensorboard"
    assert {path.name for path in folder.iterdir()} == {"train", "validation"}
    events = accumulator.EventAccumulator(str(folder / "train"))
    events.Reload()
    tags = events.Tags()["tensors"]
    assert "epoch_network_0_invalid_filters" in tags
    assert [e.step for e in events.Tensors("epoch_loss")] == [0, 1, 2]


@pytest.mark.slow
def test_wandb_goes_on_with_the_same_run(tmp_path):
    pytest.importorskip("wandb")
    train_twice(tmp_path / "run", "wandb")
    name = (tmp_path / "run" / "wandb" / "run_id").read_text()
    pattern = tmp_path / "run" / "wandb" / f"offline-run-*-{name}"
    assert len(glob.glob(str(pattern))) == 2


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_mlflow_has_every_epoch(tmp_path):
    mlflow = pytest.importorskip("mlflow")
    train_twice(tmp_path / "run", "mlflow")
    found = []
    for file in (tmp_path / "run" / "mlflow").glob("run_id_*"):
        name = file.read_text()
        run = mlflow.MlflowClient().get_run(name)
        assert run.info.status == "FINISHED"
        assert "network_0_invalid_filters" in run.data.metrics
        history = mlflow.MlflowClient().get_metric_history(name, "loss")
        found += [metric.step for metric in history]
    # Other flags are another run of it.
    assert sorted(found) == [0, 1, 2]


def test_nothing_is_tracked_that_is_not_installed(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    arguments = (*SHORT, "--epochs=1", f"--workdir={tmp_path / 'run'}")
    assert launch_here(*arguments) == (0, "")
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert not names & {"tensorboard", "wandb", "mlflow"}
