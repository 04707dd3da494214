"""What flags there are."""

from keras_graft import models
from keras_graft.flags.data_group import DATA
from keras_graft.flags.method import DISTILLATION
from keras_graft.flags.method import GRAFT
from keras_graft.flags.recognition_group import RECOGNITION
from keras_graft.flags.spec import Spec
from keras_graft.flags.value_types import Choice
from keras_graft.flags.value_types import Integer
from keras_graft.flags.value_types import ModelFile
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
        Spec(
            "initial_network",
            None,
            ModelFile(),
            "A saved network of this --model whose weights all networks begin "
            "with. Not set: weights drawn from --seed.",
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
            "schedule_epochs",
            None,
            Integer(1),
            "Epochs that the schedule is for; a run of fewer ends within it. "
            "Not set: --epochs.",
        ),
        Spec(
            "warmup_epochs",
            0.0,
            Number("[0, inf)"),
            "Epochs in which the learning rate rises to its course, from a "
            "tenth of it.",
            quiet=True,
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
    ),
    "Graft": GRAFT,
    "Distillation": DISTILLATION,
    "Recognition": RECOGNITION,
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
