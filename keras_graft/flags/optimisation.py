"""The flags of how networks are trained."""

from keras_graft.flags.spec import Spec
from keras_graft.flags.value_types import Choice
from keras_graft.flags.value_types import Integer
from keras_graft.flags.value_types import Number

OPTIMISATION = (
    Spec("epochs", 20, Integer(1), "Number of epochs."),
    Spec(
        "steps_per_epoch",
        None,
        Integer(1),
        "Steps in an epoch. A run resumes at an epoch's beginning: fewer "
        "steps lose less. Not set: one pass over the training images.",
    ),
    Spec(
        "batch_size",
        64,
        Integer(1),
        "Images in a step, over all replicas together.",
    ),
    Spec(
        "learning_rate",
        0.1,
        Number("(0, 100]"),
        "Initial learning rate, before --learning_rate_spread.",
    ),
    Spec(
        "backbone_rate",
        1.0,
        Number("(0, 1]"),
        "Factor of the learning rate of all but a network's classifier, for "
        "weights that have learnt before.",
        quiet=True,
    ),
    Spec(
        "learning_rate_spread",
        "ring",
        Choice(("none", "ring")),
        "ring: network k of N starts at learning_rate times "
        "(1 + cos(pi (N - k) / N)) / 2, k from 1, since equal networks on "
        "equal batches become one; none: all start alike.",
    ),
    Spec(
        "schedule",
        "cosine",
        Choice(("constant", "step", "cosine")),
        "Course of the learning rate. step: a tenth after 30, 60 and 90 "
        "percent of the epochs (the paper's 60, 120, 180 of 200); cosine: "
        "to 0, by step.",
    ),
    Spec(
        "schedule_epochs",
        None,
        Integer(1),
        "Epochs that the schedule is for; a run of fewer ends within it. "
        "Not set: --epochs.",
    ),
    Spec(
        "swa_start",
        None,
        Number("[0, 1)"),
        "Stochastic weight averaging: from this share of the epochs on "
        "the learning rate stays, and the mean of the weights at the end "
        "of each later epoch is shipped; 0.75 is a good one. Not set: the "
        "weights of the last epoch.",
    ),
    Spec(
        "warmup_epochs",
        0.0,
        Number("[0, inf)"),
        "Epochs in which the learning rate rises to its course, from a tenth "
        "of it.",
        quiet=True,
    ),
    Spec(
        "optimizer",
        "sgd",
        Choice(("sgd", "adam", "adamw", "lion", "muon")),
        "How weights follow their gradients. sgd: with momentum, as in the "
        "paper; the others as Keras has them. Its Muon is for matrices: what "
        "is none, convolutions too, gets AdamW.",
        quiet=True,
    ),
    Spec("momentum", 0.9, Number("[0, 1)"), "Momentum of SGD and Muon."),
    Spec(
        "beta_1",
        None,
        Number("[0, 1)"),
        "Decay of the mean of gradients of Adam, AdamW and Lion, and of the "
        "AdamW in Muon. Not set: as in Keras.",
    ),
    Spec(
        "beta_2",
        None,
        Number("[0, 1)"),
        "Decay of the mean of their squares; of Lion a second one of the "
        "mean. Not set: as in Keras.",
    ),
    Spec(
        "clip_norm",
        None,
        Number("(0, inf)"),
        "Largest norm of all gradients of a network together; larger ones "
        "are scaled down to it. Not set: as they are.",
    ),
    Spec(
        "label_smoothing",
        0.0,
        Number("[0, 1)"),
        "Share of each label that goes to all classes alike, in the loss of "
        "training and of validation.",
        quiet=True,
    ),
    Spec(
        "early_stopping",
        None,
        Integer(1),
        "Epochs without a better validation accuracy (the mean of the "
        "networks) after which the run ends. Not set: it has all its epochs.",
    ),
    Spec(
        "weight_decay",
        5e-4,
        Number("[0, 1]"),
        "Times the weight. sgd: added to the gradient before momentum, on "
        "every trainable variable, as in PyTorch and the paper, where it "
        "decides how many filters become invalid; others: times the learning "
        "rate too, taken from the weight. Adam has none.",
    ),
    Spec(
        "ship",
        "best",
        Choice(("best", "mean")),
        "best: the network that is best on validation; mean: the mean of "
        "all networks' weights, for networks that were kept together by "
        "a graft to the end.",
        quiet=True,
    ),
    Spec(
        "precision",
        "float32",
        Choice(("float32", "bfloat16", "float16")),
        "Type of the computation; weights and grafts stay float32. On a "
        "CPU that multiplies bfloat16 (avx512_bf16 in /proc/cpuinfo) it "
        "takes less time and memory.",
    ),
)
