"""The trackers of experiments that a run's logs go to, by name.

Each has a callback for Keras of its own. What it writes stays in the run's
folder, unless the environment names a server.
"""

import os
import pathlib
import uuid
from collections.abc import Callable
from typing import Any

import keras

from keras_graft.checks import packages
from keras_graft.runs.changed_flags import flag_values
from keras_graft.runs.run_directory import RunDirectory
from keras_graft.runs.run_state import sha256
from keras_graft.runs.whole_files import write_atomically
from keras_graft.trainer.callback_order import Stage
from keras_graft.trainer.callback_order import StagedCallback

_PROJECT = "keras_graft"


def make_trackers(
    settings: Any, directory: RunDirectory, flags_text: str
) -> list[keras.callbacks.Callback]:
    """The callbacks of `--track`.

    Args:
        settings: The run's flags.
        directory: Its folder.
        flags_text: The flags as a flagfile: what a tracker shows beside the
            logs.
    """
    names = settings.track
    if not names and not packages.missing(packages.TRACKERS["tensorboard"]):
        names = ("tensorboard",)
    return [_TRACKERS[name](directory, flags_text) for name in names]


def _tensorboard(directory, flags_text):
    del flags_text  # unused
    return keras.callbacks.TensorBoard(
        str(directory.tensorboard), write_graph=False
    )


def _wandb(directory, flags_text):
    import wandb
    from wandb.integration.keras import WandbMetricsLogger

    run = wandb.init(
        project=_PROJECT,
        name=directory.path.name,
        config=flag_values(flags_text),
        dir=directory.path,
        id=_kept(directory.wandb / "run_id", lambda: uuid.uuid4().hex),
        resume="allow",
        mode=os.environ.get("WANDB_MODE", "offline"),
    )
    return _late(WandbMetricsLogger, run.finish)


def _mlflow(directory, flags_text):
    # It tells its makers that it is used.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    import mlflow
    from mlflow.tensorflow import MlflowCallback

    folder = directory.mlflow
    folder.mkdir(exist_ok=True)
    place = None
    if "MLFLOW_TRACKING_URI" not in os.environ:
        mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
        place = (folder / "artifacts").as_uri()
    found = mlflow.get_experiment_by_name(_PROJECT)
    experiment = (
        mlflow.create_experiment(_PROJECT, artifact_location=place)
        if found is None
        else found.experiment_id
    )

    def start():
        run = mlflow.start_run(
            experiment_id=experiment, run_name=directory.path.name
        )
        mlflow.set_tags(flag_values(flags_text))
        return run.info.run_id

    # Other flags are another run, for its parameters cannot change.
    file = folder / f"run_id_{sha256(flags_text)[:12]}"
    run_id = _kept(file, start)
    if mlflow.active_run() is None:
        mlflow.start_run(run_id=run_id)
    return _late(MlflowCallback, mlflow.end_run)


_TRACKERS: dict[str, Callable[[RunDirectory, str], Any]] = {
    "tensorboard": _tensorboard,
    "wandb": _wandb,
    "mlflow": _mlflow,
}


def _late(kind: Any, finish: Callable[[], Any]) -> Any:
    """A callback that logs when all logs are there, and ends what it began."""

    class Tracker(kind, StagedCallback):
        stage = Stage.LOG

        def on_train_end(self, logs=None):
            super().on_train_end(logs)
            finish()

    return Tracker()


def _kept(path: pathlib.Path, make: Callable[[], str]) -> str:
    """A name that a run has given itself, the same when it goes on."""
    if path.is_file():
        return path.read_text("utf-8")
    path.parent.mkdir(exist_ok=True)
    name = make()
    write_atomically(path, name)
    return name
