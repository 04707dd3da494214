"""From settings to what trains: networks, optimizers, data, callbacks."""

from collections.abc import Callable
from typing import Any

import keras

from keras_graft import data
from keras_graft.distillation import MutualDistillation
from keras_graft.distillation import TeacherDistillation
from keras_graft.distillation.term import DistillationTerm
from keras_graft.runs import freezing
from keras_graft.runs import pretrained
from keras_graft.runs.batches import one_hot_labels
from keras_graft.runs.batches import steps_per_epoch
from keras_graft.runs.exit_codes import RunError
from keras_graft.runs.networks import build
from keras_graft.runs.networks import network_seed
from keras_graft.runs.optimizers import make_optimizers
from keras_graft.runs.own_models import load
from keras_graft.structure.conv_layers import structure_differences
from keras_graft.trainer import GraftTrainer


def make_trainer(settings: Any, splits: data.Splits) -> GraftTrainer:
    """Builds networks and optimizers, in the current strategy's scope."""
    networks = made_networks(
        settings,
        splits.num_classes,
        tuple(splits.train.images.shape[1:]),
        (splits.pixel_mean, splits.pixel_std),
    )
    if settings.initial_network is not None:
        begin_with(networks, settings.initial_network)
    freezing.freeze(networks, settings)
    return trainer_of(
        settings,
        networks,
        distillation(settings, lambda path: _teacher(path, splits)),
        steps_per_epoch(settings, splits),
        **_compiled(settings),
    )


def made_networks(
    settings: Any,
    num_classes: int,
    image_shape: tuple[int, ...],
    pixels: tuple,
) -> list[keras.Model]:
    """Classifying networks, with the weights that `--weights` names.

    Args:
        settings: The run's flags.
        num_classes: Number of logits.
        image_shape: Shape of an image.
        pixels: Mean and standard deviation of the pixels, by channel, where
            the weights come without them.
    """
    source, statistics = None, None
    if (settings.weights or "").endswith(".keras"):
        source = load(settings.weights, "weights")
        statistics = pretrained.pixel_statistics(source)
    networks = build(
        settings.model,
        num_classes,
        image_shape,
        [network_seed(settings.seed, k) for k in range(settings.num_networks)],
        *(statistics or pixels),
        settings.weights,
    )
    if source is not None:
        pretrained.begin_with(networks, source, settings.weights)
    return networks


def unfreeze(trainer: GraftTrainer, settings: Any, splits: data.Splits) -> None:
    """Lets everything in a trainer learn, with new optimizers.

    Args:
        trainer: What `make_trainer` returned.
        settings: The run's flags.
        splits: Its images.
    """
    health = [
        (variable, keras.ops.convert_to_numpy(variable))
        for variable in trainer.health.variables
    ]
    freezing.unfreeze(trainer.networks, settings)
    steps = steps_per_epoch(settings, splits)
    with trainer.distribute_strategy.scope():
        _compile(
            trainer,
            settings,
            steps,
            settings.unfreeze_epoch,
            **_compiled(settings),
        )
    # Compiling takes every network for live.
    for variable, value in health:
        variable.assign(value)


def _compiled(settings):
    return {
        "loss": loss(one_hot_labels(settings), settings.label_smoothing),
        "metrics": ["accuracy"],
    }


def trainer_of(
    settings: Any,
    networks: list[keras.Model],
    terms: list[DistillationTerm],
    steps: int,
    monitor: str = "val_accuracy",
    **compiled: Any,
) -> GraftTrainer:
    """Puts networks together, with the optimizers that the settings ask for.

    Args:
        settings: The run's flags.
        networks: The networks.
        terms: What they learn beside the labels.
        steps: Steps in an epoch.
        monitor: The log that the shipped network is chosen by.
        **compiled: What the trainer is compiled with: loss and metrics.
    """
    trainer = GraftTrainer(
        networks,
        distillation=terms,
        monitor=monitor,
        accelerate=True if settings.recompute else "no_recompute",
    )
    _compile(trainer, settings, steps, **compiled)
    return trainer


def _compile(trainer, settings, steps, done=0, **compiled):
    trainer.compile(
        optimizer=make_optimizers(settings, trainer.networks, steps, done),
        steps_per_execution=settings.steps_per_execution,
        jit_compile="auto" if settings.jit is None else settings.jit,
        **compiled,
    )


def begin_with(networks: list[keras.Model], path: str) -> None:
    """Gives networks the weights of a saved one.

    Args:
        networks: The networks.
        path: What `--initial_network` named.

    Raises:
        RunError: If it is of another architecture.
    """
    initial = load(path, "initial_network")
    differences = structure_differences([networks[0], initial])
    if differences:
        raise RunError(
            f"--initial_network={path} is another architecture than --model. "
            "These differ:\n  " + "\n  ".join(differences)
        )
    for network in networks:
        network.set_weights(initial.get_weights())


def loss(one_hot: bool = False, smoothing: float = 0.0) -> keras.losses.Loss:
    """Crossentropy of logits and labels.

    Args:
        one_hot: Whether labels are probabilities of classes.
        smoothing: Share of them that goes to all classes alike; above 0 they
            must be probabilities.
    """
    if one_hot:
        return keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=smoothing
        )
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


def _teacher(path, splits):
    teacher = load(path, "teachers")
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
