"""From settings to the optimizer of each network."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_graft import grafting
from keras_graft.optimizers import backbone_rate
from keras_graft.optimizers.coupled_sgd import CoupledSGD
from keras_graft.optimizers.later_schedule import LaterSchedule
from keras_graft.optimizers.warm_up import WarmUp
from keras_graft.runs.batches import habits
from keras_graft.runs.exit_codes import RunError
from keras_graft.structure.classifiers import classifier_of
from keras_graft.swa import HeldSchedule

# The paper's steps, as shares of the epochs: 60, 120 and 180 of 200.
_STEPS = (0.3, 0.6, 0.9)
_WITH_BACKBONE_RATE = {
    "sgd": backbone_rate.BackboneRateSGD,
    "adam": backbone_rate.BackboneRateAdam,
    "adamw": backbone_rate.BackboneRateAdam,
    "lion": backbone_rate.BackboneRateLion,
    "muon": backbone_rate.BackboneRateMuon,
}
_PLAIN = {
    "sgd": CoupledSGD,
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
    "lion": keras.optimizers.Lion,
    "muon": keras.optimizers.Muon,
}


def make_optimizers(
    settings: Any, networks: Sequence[keras.Model], steps: int, done: int = 0
) -> list[keras.optimizers.Optimizer]:
    """The optimizer of each network.

    Args:
        settings: The run's flags.
        networks: The networks.
        steps: Steps in an epoch.
        done: Epochs that were done before their first step.

    Raises:
        RunError: If there is to be another rate for what is no classifier,
            and a network does not end with one.
    """
    head = 0
    if settings.backbone_rate != 1:
        head = _count_of_head(settings, networks[0])
    return [
        _optimizer(
            settings,
            course(settings, rate, steps, done),
            settings.weight_decay * habit.decay,
            head,
        )
        for rate, habit in zip(
            learning_rates(settings), habits(settings), strict=True
        )
    ]


def _optimizer(settings, rate, decay, head):
    name = settings.optimizer
    scaled = settings.backbone_rate != 1
    arguments = {**_betas(settings), "global_clipnorm": settings.clip_norm}
    if name in ("sgd", "muon"):
        arguments["momentum"] = settings.momentum
    if name == "sgd":
        arguments["weight_decay"] = decay
    elif scaled:
        arguments["decoupled_decay"] = 0.0 if name == "adam" else decay
    elif name != "adam":
        arguments["weight_decay"] = decay
    if name == "muon":
        arguments["adam_weight_decay"] = None if scaled else decay
        arguments.setdefault("weight_decay", None)
    if scaled:
        arguments["backbone_rate"] = settings.backbone_rate
        arguments["head_variables"] = head
    makers = _WITH_BACKBONE_RATE if scaled else _PLAIN
    return makers[name](rate, **arguments)


def _count_of_head(settings, network):
    """How many of the last variables are the classifier's."""
    found = classifier_of(network)
    head = [] if found is None else found.layer.trainable_weights
    last = network.trainable_weights[-len(head) :]
    if not head or any(a is not b for a, b in zip(head, last, strict=True)):
        raise RunError(
            f"--backbone_rate={settings.backbone_rate} is for what comes "
            f"before a classifier, and --model={settings.model} does not show "
            "where that begins: it must be a functional or sequential model "
            "that ends with a Dense layer. Leave the flag out."
        )
    return len(head)


def _betas(settings):
    prefix = "adam_" if settings.optimizer == "muon" else ""
    given = {"beta_1": settings.beta_1, "beta_2": settings.beta_2}
    return {f"{prefix}{k}": v for k, v in given.items() if v is not None}


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


def course(settings: Any, rate: float, steps: int, done: int = 0) -> Any:
    """`schedule`, with a warm-up, and held where averaging starts.

    Args:
        settings: The run's flags.
        rate: Initial learning rate.
        steps: Steps in an epoch.
        done: Epochs that were done before the first step.
    """
    epochs = settings.schedule_epochs or settings.epochs
    found = schedule(rate, settings.schedule, epochs, steps)
    start = swa_start(settings)
    if start is not None:
        found = HeldSchedule(found, start * steps)
    if settings.warmup_epochs:
        found = WarmUp(found, settings.warmup_epochs * steps)
    if done and callable(found):
        return LaterSchedule(found, done * steps)
    return found


def swa_start(settings: Any) -> int | None:
    """First epoch whose weights are averaged, or None for no averaging."""
    if settings.swa_start is None:
        return None
    return round(settings.swa_start * settings.epochs)
