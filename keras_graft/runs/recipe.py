"""From settings to what trains: networks, optimizers, data, callbacks."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_graft import data
from keras_graft import grafting
from keras_graft import models
from keras_graft.distillation import MutualDistillation
from keras_graft.distillation import TeacherDistillation
from keras_graft.distillation.term import DistillationTerm
from keras_graft.optimizers.coupled_sgd import CoupledSGD
from keras_graft.optimizers.warm_up import WarmUp
from keras_graft.runs.batches import habits
from keras_graft.runs.batches import one_hot_labels
from keras_graft.runs.batches import steps_per_epoch
from keras_graft.runs.exit_codes import RunError
from keras_graft.structure.conv_layers import structure_differences
from keras_graft.swa import HeldSchedule
from keras_graft.trainer import GraftTrainer

# The paper's steps, as shares of the epochs: 60, 120 and 180 of 200.
_STEPS = (0.3, 0.6, 0.9)


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
    if settings.initial_network is not None:
        _begin_with(networks, settings.initial_network)
    return trainer_of(
        settings,
        networks,
        distillation(settings, lambda path: _teacher(path, splits)),
        steps_per_epoch(settings, splits),
        decays=[habit.decay for habit in habits(settings)],
        loss=loss(one_hot_labels(settings)),
        metrics=["accuracy"],
    )


def trainer_of(
    settings: Any,
    networks: list[keras.Model],
    terms: list[DistillationTerm],
    steps: int,
    monitor: str = "val_accuracy",
    decays: list[float] | None = None,
    **compiled: Any,
) -> GraftTrainer:
    """Puts networks together, with the optimizers that the settings ask for.

    Args:
        settings: The run's flags.
        networks: The networks.
        terms: What they learn beside the labels.
        steps: Steps in an epoch.
        monitor: The log that the shipped network is chosen by.
        decays: Factor of each network's weight decay; None: 1 for all.
        **compiled: What the trainer is compiled with: loss and metrics.
    """
    trainer = GraftTrainer(
        networks,
        distillation=terms,
        monitor=monitor,
        accelerate=True if settings.recompute else "no_recompute",
    )
    trainer.compile(
        optimizer=[
            CoupledSGD(
                _course(settings, rate, steps),
                momentum=settings.momentum,
                weight_decay=settings.weight_decay * decay,
            )
            for rate, decay in zip(
                learning_rates(settings),
                decays or [1.0] * len(networks),
                strict=True,
            )
        ],
        steps_per_execution=settings.steps_per_execution,
        jit_compile="auto" if settings.jit is None else settings.jit,
        **compiled,
    )
    return trainer


def _begin_with(networks, path):
    """Gives networks the weights of a saved one."""
    initial = loaded(path, "initial_network")
    differences = structure_differences([networks[0], initial])
    if differences:
        raise RunError(
            f"--initial_network={path} is another architecture than --model. "
            "These differ:\n  " + "\n  ".join(differences)
        )
    for network in networks:
        network.set_weights(initial.get_weights())


def _course(settings, rate, steps):
    """The course of a learning rate, held where averaging starts."""
    epochs = settings.schedule_epochs or settings.epochs
    course = schedule(rate, settings.schedule, epochs, steps)
    start = swa_start(settings)
    if start is not None:
        course = HeldSchedule(course, start * steps)
    if settings.warmup_epochs:
        course = WarmUp(course, settings.warmup_epochs * steps)
    return course


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


def distillation(
    settings: Any, teacher_of: Callable[[str], keras.Model]
) -> list[DistillationTerm]:
    """What the networks learn from each other's logits and from teachers'.

    Args:
        settings: The run's flags.
        teacher_of: Loads a file of `--teachers`.
    """
    terms: list[DistillationTerm] = []
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
                [teacher_of(path) for path in settings.teachers],
                temperature=settings.teacher_temperature,
                weight=settings.teacher_weight,
            )
        )
    return terms


def loaded(path: str, flag: str) -> keras.Model:
    """A saved Keras model that a flag names.

    Raises:
        RunError: If the file is none.
    """
    try:
        return keras.models.load_model(path, compile=False)
    except (OSError, ValueError, TypeError) as error:
        raise RunError(
            f"--{flag}={path} cannot be loaded as a Keras model: {error}"
        ) from error


def _teacher(path, splits):
    teacher = loaded(path, "teachers")
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
