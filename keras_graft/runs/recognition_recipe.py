"""From settings to what learns identities: networks, losses, distillation."""

from typing import Any

import keras

from keras_graft import recognition
from keras_graft.data.splits import pixel_statistics
from keras_graft.runs import recipe
from keras_graft.runs.exit_codes import RunError
from keras_graft.runs.networks import network_seed
from keras_graft.runs.own_models import load
from keras_graft.trainer import GraftTrainer

_METRIC_LOSSES = {
    "triplet": recognition.BatchHardTriplet,
    "soft_triplet": lambda: recognition.BatchHardTriplet(margin=None),
    "circle": recognition.CircleLoss,
}


def outputs_of(settings: Any) -> tuple[str, ...]:
    """The networks' outputs, which each need labels."""
    if settings.metric_loss == "none":
        return ("logits", "embedding")
    return ("logits", "embedding", "features")


def make_trainer(
    settings: Any, train: recognition.LabelledImages, steps: int
) -> GraftTrainer:
    """Builds networks and optimizers, in the current strategy's scope.

    Args:
        settings: The run's flags.
        train: What is trained on.
        steps: Steps in an epoch.

    Raises:
        RunError: If a file that a flag names cannot be used.
        ValueError: If the settings do not fit the images.
    """
    backbones = recipe.made_networks(
        settings,
        # What classifies is not taken over.
        2,
        tuple(train.images.shape[1:]),
        pixel_statistics(train.images),
    )
    networks = [
        recognition.embedding_network(
            backbone,
            train.num_identities,
            pooling=settings.pooling,
            neck=settings.neck,
            embedding_size=settings.embedding_size,
            last_stride_1=settings.last_stride_1,
            features="features" in outputs_of(settings),
            seed=network_seed(settings.seed, k),
        )
        for k, backbone in enumerate(backbones)
    ]
    if settings.initial_network is not None:
        recipe.begin_with(networks, settings.initial_network)
    terms = recipe.distillation(
        settings, lambda path: _teacher(path, networks[0])
    )
    if settings.similarity_weight and settings.num_networks > 1:
        terms.append(
            recognition.SimilarityDistillation(settings.similarity_weight)
        )
    smoothing = settings.label_smoothing
    losses, weights = (
        {"logits": recipe.loss(smoothing > 0, smoothing)},
        {"logits": 1.0},
    )
    if settings.metric_loss != "none":
        losses["features"] = _METRIC_LOSSES[settings.metric_loss]()
        weights["features"] = settings.metric_loss_weight
    return recipe.trainer_of(
        settings,
        networks,
        terms,
        steps,
        monitor="val_mAP",
        loss=losses,
        loss_weights=weights,
    )


def _teacher(path, network):
    teacher = load(path, "teachers")
    given = getattr(teacher, "output", None)
    if not isinstance(given, dict) or not {"logits", "embedding"} <= set(given):
        raise RunError(
            f"--teachers={path} gives no identities: a teacher of recognition "
            "is a network_<k>.keras of a run with --task=recognition."
        )
    for what, found, expected in (
        ("inputs", teacher.input.shape[1:], network.input.shape[1:]),
        (
            "logits",
            given["logits"].shape[1:],
            network.output["logits"].shape[1:],
        ),
    ):
        if tuple(found) != tuple(expected):
            raise RunError(
                f"--teachers={path} has {what} of shape {tuple(found)}, and "
                f"the networks have {tuple(expected)}. Give a teacher that "
                "was trained on images and identities like these."
            )
    # Only its logits teach; what else there is has to be there.
    outputs = {n: given.get(n, given["embedding"]) for n in network.output}
    return keras.Model(teacher.input, outputs, name=teacher.name)
