"""From settings to callbacks."""

from typing import Any

import keras
import numpy as np

from keras_graft import grafting
from keras_graft.diagnosis import InvalidFilterMonitor
from keras_graft.diagnosis.distance import DistanceMonitor
from keras_graft.diagnosis.divergence import DivergenceMonitor
from keras_graft.flags import flags_text
from keras_graft.runs.freezing import unfreeze_epoch
from keras_graft.runs.optimizers import swa_start
from keras_graft.runs.progress import Progress
from keras_graft.runs.run_directory import RunDirectory
from keras_graft.runs.run_logs import CoefficientLogger
from keras_graft.runs.run_logs import HistoryLogger
from keras_graft.runs.task import Task
from keras_graft.runs.trackers import make_trackers
from keras_graft.swa import StochasticWeightAveraging

# Images that the divergence between the networks is measured on.
_DIVERGENCE_IMAGES = 512
# Of the images that statistics of BatchNormalization are computed from.
_STATISTICS_BYTES = 2**30


def make_graft_callback(settings: Any) -> grafting.GraftCallback | None:
    """The graft that the settings ask for, or None."""
    if not settings.graft:
        return None
    # A flag that has no meaning beside the others is at its default, which is
    # the callback's own.
    return grafting.GraftCallback(
        source=settings.graft_source,
        criterion=settings.graft_criterion,
        amplitude=settings.graft_amplitude,
        slope=settings.graft_slope,
        blend=settings.graft_blend,
        threshold=settings.graft_threshold,
        every=settings.graft_every,
        start=settings.graft_start,
        stop=settings.graft_stop,
        half_life=_half_life(settings),
        every_steps=settings.graft_every_steps,
        target=settings.graft_target,
        follow_rate=settings.graft_follow_rate,
        share=settings.graft_share,
        # The seed of the run has a meaning without an exchange, too.
        seed=settings.seed if settings.graft_source == "exchange" else 0,
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
    if settings.early_stopping is not None:
        callbacks.append(
            keras.callbacks.EarlyStopping(
                f"val_{task.score}",
                mode="max",
                patience=settings.early_stopping,
                # While layers are frozen, there is more to come.
                start_from_epoch=unfreeze_epoch(settings) or 0,
            )
        )
    if settings.num_networks > 1:
        images, output = task.compared_on(_DIVERGENCE_IMAGES)
        callbacks.append(DivergenceMonitor(images, output=output))
    if settings.num_networks > 1 and settings.weights is not None:
        callbacks.append(DistanceMonitor())
    if not writes:
        return callbacks, monitor
    callbacks.append(HistoryLogger(directory.history))
    if graft is not None:
        callbacks.append(CoefficientLogger(graft, directory.coefficients))
    callbacks += make_trackers(settings, directory, flags_text(settings))
    callbacks.append(
        Progress(settings.epochs, task.steps_per_epoch, score=task.score)
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
        and settings.graft_half_life is None
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
