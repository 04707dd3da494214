"""The flags of the method: grafts and distillation."""

from keras_graft.flags.spec import Spec
from keras_graft.flags.value_types import Choice
from keras_graft.flags.value_types import Integer
from keras_graft.flags.value_types import ModelFiles
from keras_graft.flags.value_types import Number

# Method: weights from a peer.
GRAFT = (
    Spec("graft", True, None, "Graft, between epochs or between steps."),
    Spec(
        "graft_source",
        "external",
        Choice(("external", "internal", "noise", "exchange")),
        "Where grafted weights come from: a peer (the method), the "
        "network's own filters, Gaussian noise, or exchange: a random share "
        "of the weights goes on to the next network in the ring.",
    ),
    Spec(
        "graft_criterion",
        "entropy",
        Choice(("entropy", "l1", "gamma")),
        "What measures the information of a layer (entropy, l1) or of a "
        "filter (gamma, the scale of its BatchNorm).",
    ),
    Spec(
        "graft_amplitude",
        0.4,
        Number("[0, 1]"),
        "The paper's A: a layer keeps a share of itself within "
        "0.5 +- amplitude / 2. 0 is plain averaging.",
    ),
    Spec(
        "graft_slope",
        10.0,
        Number("[0, inf)"),
        "The paper's c, per nat of entropy: how sharply the share "
        "follows the difference in information. 500 is nearly a switch.",
    ),
    Spec(
        "graft_threshold",
        0.1,
        Number("(0, inf)"),
        "Sources internal and noise change the filters whose l1 norm is "
        "below this.",
    ),
    Spec(
        "graft_blend",
        "block",
        Choice(("kernels", "block")),
        "kernels: convolution kernels only; block: also every layer "
        "without a kernel and the classifier, with the coefficient of "
        "the convolution that feeds it.",
    ),
    Spec("graft_every", 1, Integer(1), "Epochs between two grafts."),
    Spec(
        "graft_start",
        1,
        Integer(0),
        "Epoch, counted from 0, at whose beginning the first graft is.",
    ),
    Spec(
        "graft_stop",
        None,
        Integer(1),
        "Epoch, counted from 0, from which on there are no grafts. "
        "Not set: to the end.",
    ),
    Spec(
        "graft_half_life",
        None,
        Number("(0, inf)"),
        "Gentle grafting: after every few steps each network moves towards "
        "--graft_target, by the share that halves the difference in so many "
        "epochs. Not set: grafts at once, between epochs.",
    ),
    Spec(
        "graft_late_half_life",
        None,
        Number("(0, inf)"),
        "The half-life in the last quarter of the epochs. Not set: the same.",
    ),
    Spec(
        "graft_every_steps",
        10,
        Integer(1),
        "Steps between two moves, or two exchanges.",
    ),
    Spec(
        "graft_target",
        "peer",
        Choice(("peer", "mean")),
        "What a network moves towards: peer: its blend with the network "
        "before it in the ring; mean: the mean of all live networks.",
    ),
    Spec(
        "graft_follow_rate",
        False,
        None,
        "Let the moves shrink as the learning rate does.",
    ),
    Spec(
        "graft_share",
        0.01,
        Number("(0, 1)"),
        "Share of the weights that an exchange takes.",
    ),
)

# Cultivation: what the networks learn from each other and from teachers.
DISTILLATION = (
    Spec(
        "mutual_weight",
        1.0,
        Number("[0, inf)"),
        "Weight of the distillation from the peers, next to 1 for the "
        "labels. 0 leaves it out.",
    ),
    Spec(
        "mutual_temperature",
        2.0,
        Number("(0, inf)"),
        "Divides the logits of networks and peers; 1 leaves them as they are.",
    ),
    Spec(
        "teachers",
        None,
        ModelFiles(),
        "Trained models with the networks' inputs and outputs, which "
        "teach but do not learn (the paper's grafting+). Not set: none.",
    ),
    Spec(
        "teacher_weight",
        1.0,
        Number("[0, inf)"),
        "Weight of the distillation from the teachers, next to 1 for "
        "the labels.",
    ),
    Spec(
        "teacher_temperature",
        2.0,
        Number("(0, inf)"),
        "Divides the logits of networks and teachers.",
    ),
)
