"""From settings to callbacks."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_graft import grafting
from keras_graft.diagnosis import InvalidFilterMonitor
from keras_graft.diagnosis.divergence import DivergenceMonitor
from keras_graft.runs.progress import Progress
from keras_graft.runs.recipe import swa_start
from keras_graft.runs.run_directory import RunDirectory
from keras_graft.runs.run_logs import CoefficientLogger
from keras_graft.runs.run_logs import HistoryLogger
from keras_graft.runs.task import Task
from keras_graft.swa import StochasticWeightAveraging

# Images that the divergence between the networks is measured on.
_DIVERGENCE_IMAGES = 512
# Of the images that statistics of BatchNormalization are computed from.
_STATISTICS_BYTES = 2**30


def make_graft_callback(settings: Any) -> grafting.GraftCallback | None:
    """The graft that the settings ask for, or None."""
    if not settings.graft:
        return None
    arguments = {
        "source": settings.graft_source,
        "start": settings.graft_start,
        "stop": settings.graft_stop,
    }
    if settings.graft_source == "exchange":
        arguments["share"] = settings.graft_share
        arguments["seed"] = settings.seed
    elif settings.graft_source != "external":
        arguments["threshold"] = settings.graft_threshold
    elif settings.graft_target == "peer":
        arguments["criterion"] = settings.graft_criterion
        if settings.graft_criterion != "gamma":
            arguments["amplitude"] = settings.graft_amplitude
            arguments["slope"] = settings.graft_slope
    if settings.graft_source in ("external", "exchange"):
        arguments["blend"] = settings.graft_blend
    if settings.graft_half_life is not None:
        arguments["half_life"] = _half_life(settings)
        arguments["target"] = settings.graft_target
        arguments["follow_rate"] = settings.graft_follow_rate
    if is_gentle(settings):
        arguments["every_steps"] = settings.graft_every_steps
    else:
        arguments["every"] = settings.graft_every
    return grafting.GraftCallback(**arguments)


def is_gentle(settings: Any) -> bool:
    """Whether grafts are small moves between steps."""
    return (
        settings.graft_half_life is not None
        or settings.graft_source == "exchange"
    )


def _half_life(settings):
    late = settings.graft_late_half_life
    first = settings.epochs * 3 // 4
    if late is None or not first:
        return late or settings.graft_half_life
    return [(0, settings.graft_half_life), (first, late)]


def make_callbacks(
    task: Task,
    directory: RunDirectory,
    graft: grafting.GraftCallback | None,
    writes: bool = True,
) -> tuple[list[keras.callbacks.Callback], InvalidFilterMonitor]:
    """Everything that watches or steers a run.

    Args:
        task: What the run is for.
        directory: Its folder.
        graft: The callback that grafts, or None.
        writes: Whether this process writes into the folder, and shows how
            far the run is.

    Returns:
        The callbacks, and the one among them that counts filters.
    """
    settings = task.settings
    monitor = InvalidFilterMonitor(threshold=settings.invalid_threshold)
    callbacks: list = [] if graft is None else [graft]
    callbacks += [*task.judges(), monitor]
    if settings.num_networks > 1:
        images, output = task.compared_on(_DIVERGENCE_IMAGES)
        callbacks.append(DivergenceMonitor(images, output=output))
    if not writes:
        return callbacks, monitor
    callbacks.append(HistoryLogger(directory.history))
    if graft is not None:
        callbacks.append(CoefficientLogger(graft, directory.coefficients))
    callbacks += _tensorboard(directory)
    callbacks.append(
        Progress(settings.epochs, task.steps_per_epoch, task.score)
    )
    return callbacks, monitor


def make_swa_callback(
    task: Task, graft: grafting.GraftCallback | None
) -> StochasticWeightAveraging | None:
    """The weight averaging that the settings ask for, or None.

    Args:
        task: What the run is for; an epoch of its training data is what the
            statistics of BatchNormalization are computed from.
        graft: The callback that grafts, or None.
    """
    settings = task.settings
    start = swa_start(settings)
    if start is None:
        return None

    # Gentle grafts keep networks apart: each has an average of its own, and
    # --ship=mean makes one of them.
    together = (
        graft is not None
        and settings.graft_stop is None
        and settings.graft_source == "external"
        and not is_gentle(settings)
    )
    return StochasticWeightAveraging(
        # One epoch at least, however few there are.
        min(start, settings.epochs - 1),
        lambda: statistics_images(task.training_data),
        settings.batch_size,
        together,
        task.validation_data(),
    )


def statistics_images(batches: Any) -> np.ndarray:
    """An epoch of images as trained on, for BatchNormalization's statistics.

    Args:
        batches: The run's training data, as `Task.training_data` has it.

    Returns:
        Images, as many as take 1 GiB at most.
    """
    first = batches.from_epoch(0).take(batches.steps_per_epoch)
    images: list[np.ndarray] = []
    for x, *_ in first:
        images.append(_first_view(x).numpy())
        if (len(images) + 1) * images[0].nbytes > _STATISTICS_BYTES:
            break
    return np.concatenate(images)


def _first_view(images):
    return images["network_0"] if isinstance(images, dict) else images


def _tensorboard(directory) -> Sequence[keras.callbacks.Callback]:
    try:
        import tensorboard  # noqa: F401
    except ImportError:
        return []
    return [
        keras.callbacks.TensorBoard(
            str(directory.tensorboard), write_graph=False
        )
    ]
