"""Which flags others make meaningless."""

from collections.abc import Callable
from typing import Any
from typing import NamedTuple

from keras_graft.data.names import IMAGE_SOURCES
from keras_graft.data.names import source_of
from keras_graft.flags.definitions import GROUPS


class Rule(NamedTuple):
    """Flags that have no meaning.

    Attributes:
        cause: the flag that takes the meaning from them.
        applies: whether it does in given settings.
        names: the flags without a meaning.
        reason: why, for the user.
    """

    cause: str
    applies: Callable[[Any], bool]
    names: tuple[str, ...]
    reason: str


def _reads(values: Any, source: str) -> bool:
    """Whether images of identities come from such a source."""
    named = (values.dataset, values.judged_on or "")
    return any(source_of(name) == source for name in named)


# In this order: what one rule resets may be the cause of the next.
RULES = (
    Rule(
        "task",
        lambda values: values.task == "classification",
        tuple(spec.name for spec in GROUPS["Recognition"]),
        "nobody is recognised",
    ),
    Rule(
        "task",
        lambda values: values.task == "recognition",
        (
            "data_dir",
            "train_examples",
            "image_size",
            "resize",
            "bad_images",
            "cache",
            "augment",
            "class_balance",
            "batches",
            "distinct",
            "steps_per_epoch",
            "backbone_rate",
            "freeze",
            "unfreeze_epoch",
            "export",
        ),
        "it is for classification",
    ),
    Rule(
        "dataset",
        lambda values: not _reads(values, "folder"),
        ("camera_pattern",),
        "only folder:PATH is read with it",
    ),
    Rule(
        "dataset",
        lambda values: values.dataset == "digits",
        ("image_shape", "judged_on"),
        "digits are grey, of 8 x 8 pixels",
    ),
    Rule(
        "num_networks",
        lambda values: values.num_networks == 1,
        ("similarity_weight",),
        "one network is alone",
    ),
    Rule(
        "metric_loss",
        lambda values: values.metric_loss == "none",
        ("metric_loss_weight",),
        "identities alone are learned",
    ),
    Rule(
        "dataset",
        lambda values: values.dataset == "digits",
        ("data_dir",),
        "digits come with scikit-learn",
    ),
    Rule(
        "num_networks",
        lambda values: values.num_networks == 1,
        ("ship", "distinct"),
        "one network is alone",
    ),
    Rule(
        "schedule",
        lambda values: values.schedule == "constant",
        ("schedule_epochs",),
        "a learning rate that stays is as long as the run",
    ),
    Rule(
        "freeze",
        lambda values: values.freeze == "none",
        ("unfreeze_epoch",),
        "nothing is frozen",
    ),
    Rule(
        "optimizer",
        lambda values: values.optimizer not in ("sgd", "muon"),
        ("momentum",),
        "its means of gradients decay by --beta_1",
    ),
    Rule(
        "optimizer",
        lambda values: values.optimizer == "adam",
        ("weight_decay",),
        "Adam with weight decay is adamw",
    ),
    Rule(
        "optimizer",
        lambda values: values.optimizer == "sgd",
        ("beta_1", "beta_2"),
        "SGD has --momentum",
    ),
    Rule(
        "dataset",
        lambda values: source_of(values.dataset) in ("folder", "npz"),
        ("data_dir",),
        "what is read is named there",
    ),
    Rule(
        "dataset",
        lambda values: source_of(values.dataset) not in IMAGE_SOURCES,
        ("image_size", "resize", "bad_images", "cache"),
        "only folder:PATH and tfds:NAME are read with it",
    ),
    Rule(
        "graft",
        lambda values: not values.graft,
        tuple(spec.name for spec in GROUPS["Graft"][1:]),
        "nothing is grafted",
    ),
    Rule(
        "graft_source",
        lambda values: values.graft_source != "external",
        ("graft_criterion", "graft_amplitude", "graft_slope"),
        "only a graft from a peer weighs two layers against each other",
    ),
    Rule(
        "graft_source",
        lambda values: values.graft_source in ("internal", "noise"),
        ("graft_blend",),
        "a network's own filters are its kernels",
    ),
    Rule(
        "graft_source",
        lambda values: values.graft_source != "external",
        ("graft_half_life",),
        "only what a peer holds can be approached",
    ),
    Rule(
        "graft_source",
        lambda values: values.graft_source != "exchange",
        ("graft_share",),
        "only an exchange takes a share of the weights",
    ),
    Rule(
        "graft_half_life",
        lambda values: values.graft_half_life is None,
        ("graft_late_half_life", "graft_target", "graft_follow_rate"),
        "grafts are made at once",
    ),
    Rule(
        "graft_half_life",
        lambda values: (
            values.graft_half_life is None and values.graft_source != "exchange"
        ),
        ("graft_every_steps",),
        "grafts are made between epochs",
    ),
    Rule(
        "graft_half_life",
        lambda values: values.graft_half_life is not None,
        ("graft_every",),
        "moves are counted by --graft_every_steps",
    ),
    Rule(
        "graft_source",
        lambda values: values.graft_source == "exchange",
        ("graft_every",),
        "exchanges are counted by --graft_every_steps",
    ),
    Rule(
        "graft_target",
        lambda values: values.graft_target == "mean",
        ("graft_criterion", "graft_amplitude", "graft_slope"),
        "the mean weighs all networks alike",
    ),
    Rule(
        "graft_source",
        lambda values: values.graft_source in ("external", "exchange"),
        ("graft_threshold",),
        "only the sources internal and noise choose filters by their norm",
    ),
    Rule(
        "graft_criterion",
        lambda values: values.graft_criterion == "gamma",
        ("graft_amplitude", "graft_slope"),
        "the share of a filter is its part of the two BatchNorm scales",
    ),
    Rule(
        "mutual_weight",
        lambda values: values.mutual_weight == 0,
        ("mutual_temperature",),
        "there is no mutual distillation",
    ),
    Rule(
        "teachers",
        lambda values: not values.teachers,
        ("teacher_weight", "teacher_temperature"),
        "nobody teaches",
    ),
    Rule(
        "teacher_weight",
        lambda values: values.teacher_weight == 0,
        ("teacher_temperature",),
        "the teachers are not heard",
    ),
    Rule(
        "strategy",
        lambda values: values.strategy == "none",
        ("replicas",),
        "one device does everything",
    ),
)
