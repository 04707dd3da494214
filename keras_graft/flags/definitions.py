"""What flags there are."""

from keras_graft import models
from keras_graft.flags.data_group import DATA
from keras_graft.flags.spec import Spec
from keras_graft.flags.value_types import Choice
from keras_graft.flags.value_types import Integer
from keras_graft.flags.value_types import ModelFiles
from keras_graft.flags.value_types import Number
from keras_graft.flags.value_types import Path

GROUPS: dict[str, tuple[Spec, ...]] = {
    "Data": DATA,
    # What is trained.
    "Networks": (
        Spec(
            "model",
            "resnet8",
            Choice(models.names()),
            "Architecture of every network.",
        ),
        Spec(
            "num_networks",
            3,
            Integer(1),
            "Number of networks trained together (N). Cost grows with N; one "
            "of them is shipped. 1 trains like a plain fit.",
        ),
        Spec(
            "seed",
            0,
            Integer(0),
            "Seed of initial weights, data order and augmentation. The same "
            "seed repeats a run.",
        ),
    ),
    # How it is trained.
    "Optimisation": (
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
            "Initial learning rate of SGD, before --learning_rate_spread.",
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
            "swa_start",
            None,
            Number("(0, 1)"),
            "Stochastic weight averaging: from this share of the epochs on "
            "the learning rate stays, and the mean of the weights at the end "
            "of each later epoch is shipped; 0.75 is a good one. Not set: the "
            "weights of the last epoch.",
        ),
        Spec("momentum", 0.9, Number("[0, 1)"), "Momentum of SGD."),
        Spec(
            "weight_decay",
            5e-4,
            Number("[0, 1]"),
            "Times the weight, added to the gradient before momentum, on "
            "every trainable variable, as in PyTorch and the paper. It "
            "decides how many filters become invalid.",
        ),
        Spec(
            "precision",
            "float32",
            Choice(("float32", "bfloat16", "float16")),
            "Type of the computation; weights and grafts stay float32. On a "
            "CPU that multiplies bfloat16 (avx512_bf16 in /proc/cpuinfo) it "
            "takes less time and memory.",
        ),
    ),
    # Method: weights from a peer between epochs.
    "Graft": (
        Spec("graft", True, None, "Graft between epochs."),
        Spec(
            "graft_source",
            "external",
            Choice(("external", "internal", "noise")),
            "Where grafted weights come from: a peer (the method), the "
            "network's own filters, or Gaussian noise.",
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
    ),
    # Cultivation: what the networks learn from each other and from teachers.
    "Distillation": (
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
            "Divides the logits of networks and peers; 1 leaves them as "
            "they are.",
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
    ),
    # What it runs on.
    "Machine": (
        Spec(
            "strategy",
            "auto",
            Choice(("auto", "none", "mirrored", "multiworker")),
            "How devices share a step. auto: multiworker where TF_CONFIG "
            "names a cluster, mirrored on several GPUs or with --replicas, "
            "else none.",
        ),
        Spec(
            "replicas",
            None,
            Integer(1),
            "Devices of this host that share a step; on a host without GPU "
            "that many logical CPU devices are made. Not set: every GPU.",
        ),
        Spec(
            "steps_per_execution",
            1,
            Integer(1),
            "Steps that TensorFlow runs before Python hears of them: more "
            "are faster on a GPU, and the progress bar is coarser. A divisor "
            "of the steps of an epoch; above 1 on one device only.",
        ),
        Spec(
            "jit",
            None,
            None,
            "Compile the training step with XLA. Not set: as Keras does, on a "
            "GPU that trains alone.",
        ),
        Spec(
            "recompute",
            True,
            None,
            "Compute activations between BatchNormalization and convolutions "
            "again in the backward pass, on a CPU with several networks: "
            "less memory for a little time.",
        ),
    ),
    # The run and its folder.
    "Run": (
        Spec(
            "workdir",
            None,
            Path(),
            "Folder of the run: results, models, checkpoints. Not set: in "
            "runs/ of the current folder, named after the flagfile and the "
            "flags given beside it.",
        ),
        Spec(
            "resume",
            "auto",
            Choice(("auto", "must", "never")),
            "auto: from the newest checkpoint of --workdir, if any; must: "
            "fail where there is none; never: start anew, and fail where "
            "there is one.",
        ),
        Spec(
            "invalid_threshold",
            0.1,
            Number("(0, inf)"),
            "A filter whose l1 norm is below this counts as invalid.",
        ),
        Spec("plan", False, None, "Print what the run would cost, and stop."),
    ),
}
