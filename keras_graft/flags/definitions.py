"""What flags there are."""

from keras_graft.checks import packages
from keras_graft.flags.data_group import DATA
from keras_graft.flags.method import DISTILLATION
from keras_graft.flags.method import GRAFT
from keras_graft.flags.optimisation import OPTIMISATION
from keras_graft.flags.recognition_group import RECOGNITION
from keras_graft.flags.spec import Spec
from keras_graft.flags.value_types import Choice
from keras_graft.flags.value_types import Choices
from keras_graft.flags.value_types import Freeze
from keras_graft.flags.value_types import Integer
from keras_graft.flags.value_types import Model
from keras_graft.flags.value_types import ModelFile
from keras_graft.flags.value_types import Number
from keras_graft.flags.value_types import Path
from keras_graft.flags.value_types import Weights

GROUPS: dict[str, tuple[Spec, ...]] = {
    "Data": DATA,
    # What is trained.
    "Networks": (
        Spec(
            "model",
            "resnet8",
            Model(),
            "Architecture of every network. applications:NAME is one of "
            "keras.applications, with its own preprocessing; keras_cv:PRESET "
            "and keras_hub:PRESET a backbone of these libraries (or the "
            "folder of a preset); PATH.keras a saved classifier, initialised "
            "anew; MODULE:FUNCTION what a function of num_classes and "
            "input_shape returns.",
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
        Spec(
            "weights",
            None,
            Weights(),
            "Weights that have learnt before, for all networks to begin with, "
            "each under a new classifier. imagenet: those that Keras or the "
            "preset has, downloaded where they are not at hand; PATH.keras: "
            "of a saved network like --model, whatever its classes; PATH.h5: "
            "as keras.applications takes it. Not set: weights drawn from "
            "--seed.",
        ),
        Spec(
            "freeze",
            "none",
            Freeze(),
            "What stays as it is: backbone: all but the classifier; N: the "
            "first N layers with weights, BatchNormalization among them.",
            quiet=True,
        ),
        Spec(
            "unfreeze_epoch",
            None,
            Integer(1),
            "Epoch, counted from 0, at whose beginning everything learns, "
            "with new slots of the optimizers and the learning rate where it "
            "is by then. Not set: what is frozen stays so.",
        ),
    ),
    "Optimisation": OPTIMISATION,
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
        Spec(
            "export",
            None,
            Choices(tuple(packages.EXPORTS)),
            "Formats to write the shipped network in too, each checked "
            "against Keras on test images; litert: as float32 and as int8. "
            "onnx and litert need the extra [export]. Not set: none.",
            quiet=True,
        ),
        Spec(
            "track",
            None,
            Choices(tuple(packages.TRACKERS)),
            "Trackers that every epoch's logs go to, each from the extra of "
            "its name, into the run's folder. Not set: tensorboard, if it is "
            "installed.",
            quiet=True,
        ),
        Spec("plan", False, None, "Print what the run would cost, and stop."),
    ),
}
