"""Which flags cannot hold together."""

import os
from typing import Any

from keras_graft.data.augment_steps import augment_steps
from keras_graft.data.names import RETRIEVAL_DATASETS
from keras_graft.data.names import RETRIEVAL_SOURCES
from keras_graft.models import sources

# Kinds of models that Keras, or a preset, has weights for.
_WITH_IMAGENET = (sources.APPLICATIONS, *sources.PRESETS)
# Of what moves weights by their rate, whatever their gradients.
_LARGE_RATE = 0.05


def refuse_contradictions(values: Any) -> None:
    """Raises a ValueError for flags that cannot hold together.

    Args:
        values: The settings.
    """
    _refuse_other_tasks_data(values)
    if values.task == "recognition":
        _refuse_batches(values)
    _refuse_weights(values)
    if (
        values.batches == "own"
        and values.mutual_weight > 0
        and values.num_networks > 1
    ):
        raise ValueError(
            "--batches=own shows each network other images, and "
            f"--mutual_weight={values.mutual_weight} compares the networks "
            "on the same ones. Add --mutual_weight=0, or take "
            "--batches=shared."
        )
    augment = augment_steps(values.augment)
    if values.distinct != "none" and (augment.mixing or augment.erasing):
        plain = augment._replace(mixing=None, erasing=False)
        raise ValueError(
            f"--distinct={values.distinct} mixes and erases images for each "
            f"network in its own way, and --augment={values.augment} for all. "
            f"Take --augment={plain}, or --distinct=none."
        )
    if (values.schedule_epochs or values.epochs) < values.epochs:
        raise ValueError(
            f"--schedule_epochs={values.schedule_epochs} ends before "
            f"--epochs={values.epochs} do: the learning rate would have no "
            "course from there on. Let it be as long at least."
        )
    if values.optimizer != "sgd" and values.learning_rate > _LARGE_RATE:
        raise ValueError(
            f"--learning_rate={values.learning_rate} is one of SGD: "
            f"--optimizer={values.optimizer} moves each weight by about as "
            f"much in a step. Give {_LARGE_RATE} or less, such as "
            "--learning_rate=0.001."
        )
    if values.warmup_epochs >= values.epochs:
        raise ValueError(
            f"--warmup_epochs={values.warmup_epochs} is not below "
            f"--epochs={values.epochs}: the learning rate would not come to "
            "its course. Give fewer."
        )
    if values.early_stopping is not None and values.swa_start is not None:
        raise ValueError(
            f"--early_stopping={values.early_stopping} ends a run early, and "
            f"--swa_start={values.swa_start} averages its last epochs. Leave "
            "one of them out."
        )
    if values.graft_stop is not None and (
        values.graft_stop <= values.graft_start
    ):
        raise ValueError(
            f"--graft_stop={values.graft_stop} must be above "
            f"--graft_start={values.graft_start}: grafts happen from the one "
            "until before the other. Write --nograft for none."
        )
    if values.graft_half_life is not None and (
        values.graft_criterion == "gamma"
    ):
        raise ValueError(
            f"--graft_half_life={values.graft_half_life} moves layers, and "
            "--graft_criterion=gamma weighs filters. Take "
            "--graft_criterion=entropy or l1."
        )
    if values.jit and (values.replicas or 1) > 1:
        raise ValueError(
            f"--jit compiles for one device, and --replicas={values.replicas} "
            "asks for several: XLA cannot reach a variable on another one. "
            "Leave --jit out, or use one replica."
        )
    if os.path.exists(values.workdir) and not os.path.isdir(values.workdir):
        raise ValueError(
            f"--workdir={values.workdir} is a file. Give a folder, which "
            "need not exist."
        )


def _refuse_other_tasks_data(values):
    source, colon, _ = values.dataset.partition(":")
    if values.task == "classification":
        if colon and source in RETRIEVAL_SOURCES:
            raise ValueError(
                f"--dataset={values.dataset} holds identities to recognise. "
                "Add --task=recognition."
            )
        return
    known = ("folder", *RETRIEVAL_SOURCES) if colon else RETRIEVAL_DATASETS
    if source not in known:
        raise ValueError(
            f"--dataset={values.dataset} has no query and no gallery, which "
            "--task=recognition judges by. Give one of "
            f"{', '.join(RETRIEVAL_DATASETS)}, folder:PATH, "
            f"{', '.join(f'{name}:PATH' for name in RETRIEVAL_SOURCES)}."
        )
    if values.strategy == "multiworker":
        raise ValueError(
            "--strategy=multiworker is for --task=classification: "
            "recognition is trained on one host. Take mirrored or none."
        )


def _refuse_batches(values):
    images = values.images_per_identity
    if images is None:
        if values.metric_loss != "none":
            raise ValueError(
                f"--metric_loss={values.metric_loss} compares images of one "
                "identity in a batch. Say how many there are, such as "
                "--images_per_identity=4."
            )
        return
    if values.batch_size % images or values.batch_size < 2 * images:
        nearest = max(values.batch_size // images, 2) * images
        raise ValueError(
            f"--batch_size={values.batch_size} must be "
            f"--images_per_identity={images} times the identities of a batch, "
            f"two at least: such as {nearest}."
        )


def _refuse_weights(values):
    """Refuses weights that a model cannot have, and what they rule out."""
    weights, kind = values.weights, sources.source_of(values.model).kind
    if weights is not None and values.initial_network is not None:
        raise ValueError(
            f"--weights={weights} and --initial_network="
            f"{values.initial_network} both say what the networks begin "
            "with. Take --weights for a new classifier, --initial_network "
            "to go on with the one that is there."
        )
    if weights == "imagenet" and kind not in _WITH_IMAGENET:
        raise ValueError(
            f"--weights=imagenet: --model={values.model} has no such weights "
            "that could be fetched. Take --model=applications:NAME, or "
            "--weights=PATH.keras."
        )
    if (weights or "").endswith(".h5") and kind != sources.APPLICATIONS:
        raise ValueError(
            f"--weights={weights} does not say of what network it is, and "
            "only --model=applications:NAME can be matched with it. Save the "
            "network whole, as a .keras file."
        )
    if values.freeze == "none":
        return
    own = kind == sources.FUNCTION or values.initial_network is not None
    if weights is None and not own:
        raise ValueError(
            f"--freeze={values.freeze} keeps weights that have learnt "
            f"nothing: --model={values.model} begins with random ones. Add "
            "--weights=PATH.keras, or leave it out."
        )
    end = values.unfreeze_epoch
    if end is not None and end >= values.epochs:
        raise ValueError(
            f"--unfreeze_epoch={end} is not below --epochs={values.epochs}: "
            "nothing would be unfrozen. Give an earlier one, or leave it out."
        )
    start = values.swa_start
    if None not in (end, start) and round(start * values.epochs) < end:
        raise ValueError(
            f"--swa_start={start} averages from epoch "
            f"{round(start * values.epochs)} on, and --unfreeze_epoch={end} "
            "comes later. Let the average begin once everything learns."
        )
