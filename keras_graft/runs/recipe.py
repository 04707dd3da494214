"""From settings to what trains: networks, optimizers, data, callbacks."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_graft import data
from keras_graft import grafting
from keras_graft import models
from keras_graft.data.epoch_dataset import EpochDataset
from keras_graft.diagnosis import InvalidFilterMonitor
from keras_graft.diagnosis.divergence import DivergenceMonitor
from keras_graft.distillation import MutualDistillation
from keras_graft.distillation import TeacherDistillation
from keras_graft.optimizers.coupled_sgd import CoupledSGD
from keras_graft.runs.exit_codes import RunError
from keras_graft.runs.progress import Progress
from keras_graft.runs.run_directory import RunDirectory
from keras_graft.runs.run_logs import CoefficientLogger
from keras_graft.runs.run_logs import HistoryLogger
from keras_graft.swa import HeldSchedule
from keras_graft.swa import StochasticWeightAveraging
from keras_graft.trainer import GraftTrainer

# The paper's steps, as shares of the epochs: 60, 120 and 180 of 200.
_STEPS = (0.3, 0.6, 0.9)
_MIXING = ("cutmix", "mixup")
# Images that the divergence between the networks is measured on.
_DIVERGENCE_IMAGES = 512


def load_splits(settings: Any) -> data.Splits:
    """Reads the images of a run."""
    return data.load(
        settings.dataset,
        data_dir=settings.data_dir,
        train_examples=settings.train_examples,
        validation_fraction=settings.validation_fraction,
        seed=settings.seed,
    )


def steps_per_epoch(settings: Any, splits: data.Splits) -> int:
    """Number of whole batches in an epoch."""
    return data.steps_per_epoch(
        len(splits.train), settings.batch_size, settings.steps_per_epoch
    )


def check_division(settings: Any, steps: int, devices: int) -> None:
    """Refuses batches and steps that do not come out even.

    Args:
        settings: The run's flags.
        steps: Steps in an epoch.
        devices: Devices that share a step.

    Raises:
        ValueError: If a batch cannot be split over the devices, or an epoch
            into executions.
    """
    if settings.batch_size % devices:
        raise ValueError(
            f"--batch_size={settings.batch_size} does not split evenly over "
            f"{devices} devices. Let it be a multiple of {devices}."
        )
    together = settings.steps_per_execution
    if together > 1 and devices > 1:
        raise ValueError(
            f"--steps_per_execution={together} works on one device, and "
            f"{devices} share a step: Keras repeats the step in a loop, in "
            "which TensorFlow cannot merge replicas. Leave it out."
        )
    if steps % together:
        # Keras would go on into the next epoch's data.
        divisors = [n for n in range(1, steps + 1) if steps % n == 0]
        raise ValueError(
            f"--steps_per_execution={together} does not divide the {steps} "
            "steps of an epoch. Give one of "
            f"{', '.join(map(str, divisors))}, or another --steps_per_epoch."
        )


class TrainingData(EpochDataset):
    """The batches to train on, from any epoch on.

    Args:
        settings: The run's flags.
        splits: Its images.
    """

    def __init__(self, settings: Any, splits: data.Splits):
        self._settings = settings
        self._splits = splits
        self.steps_per_epoch = steps_per_epoch(settings, splits)

    def from_epoch(self, epoch):
        settings = self._settings
        return _shared_out(
            data.training_batches(
                self._splits.train,
                batch_size=settings.batch_size,
                seed=settings.seed,
                augment=settings.augment,
                num_networks=settings.num_networks,
                batches=settings.batches,
                num_classes=self._splits.num_classes,
                initial_epoch=epoch,
                steps_per_epoch=settings.steps_per_epoch,
            )
        )


def monitored_split(splits: data.Splits) -> data.Split:
    """The split that the shipped network is chosen on."""
    return splits.test if splits.validation is None else splits.validation


def evaluation_data(settings: Any, splits: data.Splits, split: Any) -> Any:
    """Batches to evaluate on, with the labels that the loss takes."""
    batches = data.evaluation_batches(split, max(settings.batch_size, 256))
    if settings.augment in _MIXING:
        batches = batches.map(
            lambda x, y: (x, keras.ops.one_hot(y, splits.num_classes))
        )
    return _shared_out(batches)


def _shared_out(batches):
    """Lets each of several workers take its part of every batch."""
    options = tf.data.Options()
    # TensorFlow would look for files to share out first.
    options.experimental_distribute.auto_shard_policy = (
        tf.data.experimental.AutoShardPolicy.DATA
    )
    return batches.with_options(options)


def learning_rates(settings: Any) -> list[float]:
    """The initial learning rate of each network."""
    if settings.learning_rate_spread == "ring":
        return grafting.ring_learning_rates(
            settings.learning_rate, settings.num_networks
        )
    return [settings.learning_rate] * settings.num_networks


def schedule(rate: float, name: str, epochs: int, steps: int) -> Any:
    """The course of a learning rate.

    Args:
        rate: Initial learning rate.
        name: `"constant"`, `"step"` or `"cosine"`.
        epochs: Epochs of the run.
        steps: Steps in an epoch.

    Returns:
        A float or a Keras schedule.
    """
    if name == "cosine":
        return keras.optimizers.schedules.CosineDecay(rate, epochs * steps)
    if name == "step":
        boundaries = [round(epochs * share) * steps for share in _STEPS]
        values = [rate * 0.1**i for i in range(len(_STEPS) + 1)]
        return keras.optimizers.schedules.PiecewiseConstantDecay(
            boundaries, values
        )
    return rate


def swa_start(settings: Any) -> int | None:
    """First epoch whose weights are averaged, or None for no averaging."""
    if settings.swa_start is None:
        return None
    return round(settings.swa_start * settings.epochs)


def make_trainer(settings: Any, splits: data.Splits) -> GraftTrainer:
    """Builds networks and optimizers, in the current strategy's scope."""
    networks = [
        models.build(
            settings.model,
            splits.num_classes,
            input_shape=splits.train.images.shape[1:],
            seed=network_seed(settings.seed, k),
            pixel_mean=splits.pixel_mean,
            pixel_std=splits.pixel_std,
        )
        for k in range(settings.num_networks)
    ]
    trainer = GraftTrainer(
        networks,
        distillation=_terms(settings, splits),
        recompute=settings.recompute,
    )
    steps = steps_per_epoch(settings, splits)
    trainer.compile(
        optimizer=[
            CoupledSGD(
                _course(settings, rate, steps),
                momentum=settings.momentum,
                weight_decay=settings.weight_decay,
            )
            for rate in learning_rates(settings)
        ],
        loss=loss(settings.augment in _MIXING),
        metrics=["accuracy"],
        steps_per_execution=settings.steps_per_execution,
        jit_compile="auto" if settings.jit is None else settings.jit,
    )
    return trainer


def _course(settings, rate, steps):
    """The course of a learning rate, held where averaging starts."""
    course = schedule(rate, settings.schedule, settings.epochs, steps)
    start = swa_start(settings)
    return course if start is None else HeldSchedule(course, start * steps)


def network_seed(seed: int, k: int) -> int:
    """Seed of network k's initial weights; the same whatever N is.

    Args:
        seed: Seed of the run.
        k: Position of the network.
    """
    return int(np.random.SeedSequence([seed, k]).generate_state(1)[0])


def loss(one_hot: bool = False) -> keras.losses.Loss:
    """Crossentropy of logits and labels."""
    if one_hot:
        return keras.losses.CategoricalCrossentropy(from_logits=True)
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def _terms(settings, splits):
    terms = []
    if settings.mutual_weight and settings.num_networks > 1:
        terms.append(
            MutualDistillation(
                temperature=settings.mutual_temperature,
                weight=settings.mutual_weight,
            )
        )
    if settings.teachers and settings.teacher_weight:
        terms.append(
            TeacherDistillation(
                [_teacher(path, splits) for path in settings.teachers],
                temperature=settings.teacher_temperature,
                weight=settings.teacher_weight,
            )
        )
    return terms


def _teacher(path, splits):
    try:
        teacher = keras.models.load_model(path, compile=False)
    except (OSError, ValueError, TypeError) as error:
        raise RunError(
            f"--teachers={path} cannot be loaded as a Keras model: {error}"
        ) from error
    # A subclassed teacher shows its shapes in the first step only.
    for what, shape, expected in (
        ("inputs", "input_shape", splits.train.images.shape[1:]),
        ("outputs", "output_shape", (splits.num_classes,)),
    ):
        found = getattr(teacher, shape, None)
        if found is not None and not _fits(found[1:], expected):
            raise RunError(
                f"--teachers={path} has {what} of shape {tuple(found[1:])}, "
                f"and the networks have {tuple(expected)}. Give a teacher "
                "that was trained on images and classes like these."
            )
    return teacher


def _fits(found, expected):
    return len(found) == len(expected) and all(
        size in (None, wanted)
        for size, wanted in zip(found, expected, strict=True)
    )


def make_graft_callback(settings: Any) -> grafting.GraftCallback | None:
    """The graft that the settings ask for, or None."""
    if not settings.graft:
        return None
    arguments = {
        "source": settings.graft_source,
        "every": settings.graft_every,
        "start": settings.graft_start,
        "stop": settings.graft_stop,
    }
    if settings.graft_source != "external":
        arguments["threshold"] = settings.graft_threshold
    else:
        arguments["criterion"] = settings.graft_criterion
        arguments["blend"] = settings.graft_blend
        if settings.graft_criterion != "gamma":
            arguments["amplitude"] = settings.graft_amplitude
            arguments["slope"] = settings.graft_slope
    return grafting.GraftCallback(**arguments)


def make_callbacks(
    settings: Any,
    splits: data.Splits,
    directory: RunDirectory,
    graft: grafting.GraftCallback | None,
    steps: int,
    writes: bool = True,
) -> tuple[list[keras.callbacks.Callback], InvalidFilterMonitor]:
    """Everything that watches or steers a run.

    Args:
        settings: The run's flags.
        splits: Its images.
        directory: Its folder.
        graft: The callback that grafts, or None.
        steps: Steps in an epoch.
        writes: Whether this process writes into the folder, and shows how
            far the run is.

    Returns:
        The callbacks, and the one among them that counts filters.
    """
    monitor = InvalidFilterMonitor(threshold=settings.invalid_threshold)
    callbacks: list = [] if graft is None else [graft]
    callbacks.append(monitor)
    if settings.num_networks > 1:
        images = monitored_split(splits).images[:_DIVERGENCE_IMAGES]
        callbacks.append(DivergenceMonitor(images))
    if not writes:
        return callbacks, monitor
    callbacks.append(HistoryLogger(directory.history))
    if graft is not None:
        callbacks.append(CoefficientLogger(graft, directory.coefficients))
    callbacks += _tensorboard(directory)
    callbacks.append(Progress(settings.epochs, steps))
    return callbacks, monitor


def make_swa_callback(
    settings: Any,
    splits: data.Splits,
    batches: TrainingData,
    graft: grafting.GraftCallback | None,
) -> StochasticWeightAveraging | None:
    """The weight averaging that the settings ask for, or None.

    Args:
        settings: The run's flags.
        splits: Its images.
        batches: Its training data; an epoch of it is what the statistics of
            BatchNormalization are computed from.
        graft: The callback that grafts, or None.
    """
    start = swa_start(settings)
    if start is None:
        return None

    def images():
        first = batches.from_epoch(0).take(batches.steps_per_epoch)
        return np.concatenate([_first_view(x) for x, _ in first])

    grafted_to_the_end = graft is not None and settings.graft_stop is None
    return StochasticWeightAveraging(
        # One epoch at least, however few there are.
        min(start, settings.epochs - 1),
        images,
        settings.batch_size,
        grafted_to_the_end and settings.graft_source == "external",
        evaluation_data(settings, splits, monitored_split(splits)),
    )


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
