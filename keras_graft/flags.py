"""Every flag of the command line, without Keras and TensorFlow.

A command module calls `define()` and hands `parse_or_exit` to absl:

    flags.define()
    app.run(main, flags_parser=flags.parse_or_exit)

and `main` reads `flags.settings()`. What is wrong with a command line is said
here, in a blink, before anything heavy is imported or any folder is made.
"""

import csv
import dataclasses
import hashlib
import io
import os
import pathlib
import re
import sys
from collections import namedtuple
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

from absl import flags as absl_flags

from keras_graft import flagfiles
from keras_graft import models
from keras_graft.data.names import AUGMENTS
from keras_graft.data.names import BATCHES
from keras_graft.data.names import DATASETS
from keras_graft.flag_types import Choice
from keras_graft.flag_types import Integer
from keras_graft.flag_types import ModelFiles
from keras_graft.flag_types import Number
from keras_graft.flag_types import Path


@dataclasses.dataclass(frozen=True)
class _Spec:
    """A flag: name, default (None: not set), parser (None: switch), help."""

    name: str
    default: Any
    parser: absl_flags.ArgumentParser | None
    help: str


_GROUPS: dict[str, tuple[_Spec, ...]] = {
    # What the networks see.
    "Data": (
        _Spec("dataset", "digits", Choice(DATASETS), "Images to train on."),
        _Spec(
            "data_dir",
            None,
            Path(),
            "Folder of the prepared TFDS datasets. Not set: TFDS' own, "
            "~/tensorflow_datasets.",
        ),
        _Spec(
            "train_examples",
            None,
            Integer(1),
            "Number of training images, drawn before the validation split is "
            "cut: for small-data studies and quick tries. Not set: all.",
        ),
        _Spec(
            "validation_fraction",
            0.1,
            Number("[0, 1)"),
            "Share of the training images that is held out to choose the "
            "shipped network. 0 chooses on the test set, as the paper did, "
            "and says so in results.json.",
        ),
        _Spec(
            "augment",
            "none",
            Choice(AUGMENTS),
            "Augmentation of the training images, a stream of its own for "
            "every network. standard: pad, crop and flip; the others come on "
            "top of it.",
        ),
        _Spec(
            "batches",
            "shared",
            Choice(BATCHES),
            "shared: the networks see the same images in a step; own: each "
            "has its own order, as in the paper, which rules out mutual "
            "distillation.",
        ),
    ),
    # What is trained.
    "Networks": (
        _Spec(
            "model",
            "resnet8",
            Choice(models.names()),
            "Architecture of every network.",
        ),
        _Spec(
            "num_networks",
            3,
            Integer(1),
            "Number of networks trained together (N). Cost grows with N; one "
            "of them is shipped. 1 trains like a plain fit.",
        ),
        _Spec(
            "seed",
            0,
            Integer(0),
            "Seed of initial weights, data order and augmentation. The same "
            "seed repeats a run.",
        ),
    ),
    # How it is trained.
    "Optimisation": (
        _Spec("epochs", 20, Integer(1), "Number of epochs."),
        _Spec(
            "steps_per_epoch",
            None,
            Integer(1),
            "Steps in an epoch. A run resumes at an epoch's beginning: fewer "
            "steps lose less. Not set: one pass over the training images.",
        ),
        _Spec(
            "batch_size",
            64,
            Integer(1),
            "Images in a step, over all replicas together.",
        ),
        _Spec(
            "learning_rate",
            0.1,
            Number("(0, 100]"),
            "Initial learning rate of SGD, before --learning_rate_spread.",
        ),
        _Spec(
            "learning_rate_spread",
            "ring",
            Choice(("none", "ring")),
            "ring: network k of N starts at learning_rate times "
            "(1 + cos(pi (N - k) / N)) / 2, k from 1, since equal networks on "
            "equal batches become one; none: all start alike.",
        ),
        _Spec(
            "schedule",
            "cosine",
            Choice(("constant", "step", "cosine")),
            "Course of the learning rate. step: a tenth after 30, 60 and 90 "
            "percent of the epochs (the paper's 60, 120, 180 of 200); cosine: "
            "to 0, by step.",
        ),
        _Spec("momentum", 0.9, Number("[0, 1)"), "Momentum of SGD."),
        _Spec(
            "weight_decay",
            5e-4,
            Number("[0, 1]"),
            "Times the weight, added to the gradient before momentum, on "
            "every trainable variable, as in PyTorch and the paper. It "
            "decides how many filters become invalid.",
        ),
        _Spec(
            "precision",
            "float32",
            Choice(("float32", "bfloat16", "float16")),
            "Type of the computation; weights and grafts stay float32.",
        ),
    ),
    # Method: weights from a peer between epochs.
    "Graft": (
        _Spec("graft", True, None, "Graft between epochs."),
        _Spec(
            "graft_source",
            "external",
            Choice(("external", "internal", "noise")),
            "Where grafted weights come from: a peer (the method), the "
            "network's own filters, or Gaussian noise.",
        ),
        _Spec(
            "graft_criterion",
            "entropy",
            Choice(("entropy", "l1", "gamma")),
            "What measures the information of a layer (entropy, l1) or of a "
            "filter (gamma, the scale of its BatchNorm).",
        ),
        _Spec(
            "graft_amplitude",
            0.4,
            Number("[0, 1]"),
            "The paper's A: a layer keeps a share of itself within "
            "0.5 +- amplitude / 2. 0 is plain averaging.",
        ),
        _Spec(
            "graft_slope",
            10.0,
            Number("[0, inf)"),
            "The paper's c, per nat of entropy: how sharply the share "
            "follows the difference in information. 500 is nearly a switch.",
        ),
        _Spec(
            "graft_threshold",
            0.1,
            Number("(0, inf)"),
            "Sources internal and noise change the filters whose l1 norm is "
            "below this.",
        ),
        _Spec(
            "graft_blend",
            "block",
            Choice(("kernels", "block")),
            "kernels: convolution kernels only; block: also every layer "
            "without a kernel and the classifier, with the coefficient of "
            "the convolution that feeds it.",
        ),
        _Spec("graft_every", 1, Integer(1), "Epochs between two grafts."),
        _Spec(
            "graft_start",
            1,
            Integer(0),
            "Epoch, counted from 0, at whose beginning the first graft is.",
        ),
        _Spec(
            "graft_stop",
            None,
            Integer(1),
            "Epoch, counted from 0, from which on there are no grafts. "
            "Not set: to the end.",
        ),
    ),
    # Cultivation: what the networks learn from each other and from teachers.
    "Distillation": (
        _Spec(
            "mutual_weight",
            1.0,
            Number("[0, inf)"),
            "Weight of the distillation from the peers, next to 1 for the "
            "labels. 0 leaves it out.",
        ),
        _Spec(
            "mutual_temperature",
            2.0,
            Number("(0, inf)"),
            "Divides the logits of networks and peers; 1 leaves them as "
            "they are.",
        ),
        _Spec(
            "teachers",
            None,
            ModelFiles(),
            "Trained models with the networks' inputs and outputs, which "
            "teach but do not learn (the paper's grafting+). Not set: none.",
        ),
        _Spec(
            "teacher_weight",
            1.0,
            Number("[0, inf)"),
            "Weight of the distillation from the teachers, next to 1 for "
            "the labels.",
        ),
        _Spec(
            "teacher_temperature",
            2.0,
            Number("(0, inf)"),
            "Divides the logits of networks and teachers.",
        ),
    ),
    # What it runs on.
    "Machine": (
        _Spec(
            "strategy",
            "auto",
            Choice(("auto", "none", "mirrored", "multiworker")),
            "How devices share a step. auto: multiworker where TF_CONFIG "
            "names a cluster, mirrored on several GPUs or with --replicas, "
            "else none.",
        ),
        _Spec(
            "replicas",
            None,
            Integer(1),
            "Devices of this host that share a step; on a host without GPU "
            "that many logical CPU devices are made. Not set: every GPU.",
        ),
        _Spec(
            "steps_per_execution",
            1,
            Integer(1),
            "Steps that TensorFlow runs before Python hears of them: more "
            "are faster on a GPU, and the progress bar is coarser. A divisor "
            "of the steps of an epoch; above 1 on one device only.",
        ),
        _Spec("jit", False, None, "Compile the training step with XLA."),
    ),
    # The run and its folder.
    "Run": (
        _Spec(
            "workdir",
            None,
            Path(),
            "Folder of the run: results, models, checkpoints. Not set: in "
            "runs/ of the current folder, named after the flagfile and the "
            "flags given beside it.",
        ),
        _Spec(
            "resume",
            "auto",
            Choice(("auto", "must", "never")),
            "auto: from the newest checkpoint of --workdir, if any; must: "
            "fail where there is none; never: start anew, and fail where "
            "there is one.",
        ),
        _Spec(
            "invalid_threshold",
            0.1,
            Number("(0, inf)"),
            "A filter whose l1 norm is below this counts as invalid.",
        ),
        _Spec("plan", False, None, "Print what the run would cost, and stop."),
    ),
}

_SPECS = {spec.name: spec for specs in _GROUPS.values() for spec in specs}

Settings = namedtuple("Settings", tuple(_SPECS))
Settings.__doc__ = (
    "The value of every flag, frozen. Paths are absolute; `teachers` is a "
    "tuple, empty for none."
)


# Where a run lies and how long it is do not make it another run.
_NOT_IN_A_RUN_NAME = {"workdir", "data_dir", "epochs", "resume", "plan"}
_RUN_NAME_LENGTH = 100


class _Rule(NamedTuple):
    """Flags that have no meaning.

    Attributes:
        cause: the flag that takes the meaning from them.
        applies: whether it does in given settings.
        names: the flags without a meaning.
        reason: why, for the user.
    """

    cause: str
    applies: Callable[[Settings], bool]
    names: tuple[str, ...]
    reason: str


# In this order: what one rule resets may be the cause of the next.
_RULES = (
    _Rule(
        "dataset",
        lambda values: values.dataset == "digits",
        ("data_dir",),
        "digits come with scikit-learn",
    ),
    _Rule(
        "graft",
        lambda values: not values.graft,
        tuple(spec.name for spec in _GROUPS["Graft"][1:]),
        "nothing is grafted",
    ),
    _Rule(
        "graft_source",
        lambda values: values.graft_source != "external",
        ("graft_criterion", "graft_amplitude", "graft_slope", "graft_blend"),
        "only a graft from a peer weighs two layers against each other",
    ),
    _Rule(
        "graft_source",
        lambda values: values.graft_source == "external",
        ("graft_threshold",),
        "only the sources internal and noise choose filters by their norm",
    ),
    _Rule(
        "graft_criterion",
        lambda values: values.graft_criterion == "gamma",
        ("graft_amplitude", "graft_slope"),
        "the share of a filter is its part of the two BatchNorm scales",
    ),
    _Rule(
        "mutual_weight",
        lambda values: values.mutual_weight == 0,
        ("mutual_temperature",),
        "there is no mutual distillation",
    ),
    _Rule(
        "teachers",
        lambda values: not values.teachers,
        ("teacher_weight", "teacher_temperature"),
        "nobody teaches",
    ),
    _Rule(
        "teacher_weight",
        lambda values: values.teacher_weight == 0,
        ("teacher_temperature",),
        "the teachers are not heard",
    ),
    _Rule(
        "strategy",
        lambda values: values.strategy == "none",
        ("replicas",),
        "one device does everything",
    ),
)


def define(flag_values: absl_flags.FlagValues = absl_flags.FLAGS) -> None:
    """Defines every flag of this package.

    Args:
        flag_values: where to; a fresh `FlagValues` leaves absl's alone.
    """
    for spec in _SPECS.values():
        if spec.parser is None:
            flag = absl_flags.BooleanFlag(spec.name, spec.default, spec.help)
        else:
            flag = absl_flags.Flag(
                spec.parser, None, spec.name, spec.default, spec.help
            )
        absl_flags.DEFINE_flag(flag, flag_values, module_name=__name__)
        # absl's --help lists the flags of the program, which is not here.
        flag_values.register_key_flag_for_module(sys.argv[0], flag)


def settings(
    flag_values: absl_flags.FlagValues = absl_flags.FLAGS,
) -> Settings:
    """Returns the parsed flags as a frozen tuple with names."""
    values = {name: flag_values[name].value for name in _SPECS}
    return Settings(**{**values, "teachers": values["teachers"] or ()})


def parse(
    argv: Sequence[str],
    flag_values: absl_flags.FlagValues = absl_flags.FLAGS,
) -> Settings:
    """Parses a command line and refuses what cannot be meant.

    Args:
        argv: the command line, the program's name first. Without a
            `--flagfile` the recipe digits.flags comes before its flags.
        flag_values: where `define` put the flags.

    Returns:
        The settings.

    Raises:
        absl.flags.Error: for an unknown flag or a value out of range.
        ValueError: for a flagfile that cannot be used, and for flags that
            contradict each other or have no meaning.
    """
    return _assign(argv[0], flagfiles.expand(argv[1:]), flag_values)


def parse_or_exit(argv: Sequence[str]) -> list[str]:
    """Parses the command line into absl's flags: `flags_parser` of `app.run`.

    Prints the flagfiles that are used. A command line that is refused ends
    the process with exit code 1 and the reason.

    Args:
        argv: the command line, the program's name first.

    Returns:
        What is left of it: the program's name.
    """
    files: list[pathlib.Path] = []
    try:
        expansion = flagfiles.expand(argv[1:])
        files = expansion.files
        _assign(argv[0], expansion, absl_flags.FLAGS)
    except (absl_flags.Error, ValueError) as error:
        read = "".join(f"Flagfile read: {file}\n" for file in files)
        sys.stderr.write(
            f"FATAL Flags parsing error: {error}\n{read}"
            "Pass --helpshort or --helpfull to see help on flags.\n"
        )
        sys.exit(1)
    for file in files:
        print(f"Flagfile: {file}")
    return [argv[0]]


def _assign(
    program: str,
    expansion: flagfiles.Expansion,
    flag_values: absl_flags.FlagValues,
) -> Settings:
    """Parses expanded arguments into `flag_values`."""
    texts = [argument.text for argument in expansion.arguments]
    rest = flag_values([program, *texts])[1:]
    if rest:
        recipe = rest[0] in flagfiles.recipes()
        hint = f" Did you mean --flagfile={rest[0]}?" if recipe else ""
        raise ValueError(
            f"Unexpected argument {rest[0]!r}: a flag is written "
            f"--name=value.{hint}"
        )
    _drop_superseded(expansion.arguments, flag_values)
    if flag_values["workdir"].value is None:
        name = _run_name(expansion, settings(flag_values))
        flag_values["workdir"].value = os.path.abspath(f"runs/{name}")
    values = settings(flag_values)
    _refuse_contradictions(values)
    return values


def _drop_superseded(
    arguments: Sequence[flagfiles.Argument],
    flag_values: absl_flags.FlagValues,
) -> None:
    """Refuses flags without a meaning, or resets them.

    A flagfile's flag that a later one from elsewhere takes the meaning from
    goes back to its default, so that `--flagfile=base.flags
    --graft_criterion=gamma` works where the base sets a slope. Else the user
    contradicts himself.
    """
    position = {
        _name(argument.text): index
        for index, argument in enumerate(arguments)
        if argument.text.startswith("-")
    }
    for rule in _RULES:
        if not rule.applies(settings(flag_values)):
            continue
        cause = position.get(rule.cause, -1)
        for name in rule.names:
            if flag_values[name].using_default_value:
                continue
            index = position[name]
            if (
                cause < index
                or arguments[cause].source == arguments[index].source
            ):
                default = " (the default)" if cause < 0 else ""
                raise ValueError(
                    f"{_text(name, flag_values[name].value)} has no meaning "
                    f"with {_text(rule.cause, flag_values[rule.cause].value)}"
                    f"{default}: {rule.reason}. Leave --{name} out, or "
                    f"change --{rule.cause}."
                )
            flag_values[name].unparse()


def _run_name(expansion: flagfiles.Expansion, values: Settings) -> str:
    """Returns a folder's name: the flagfile's, and what was changed in it.

    One command always has the same folder, so that it can be resumed, and
    another one has another. Flags that leave the run what it is do not count.
    """
    changed = {
        _name(argument.text)
        for argument in expansion.arguments
        if argument.source is None and argument.text.startswith("-")
    } - _NOT_IN_A_RUN_NAME
    parts = [
        _text(name, value).removeprefix("--")
        for name, value in values._asdict().items()
        if name in changed
    ]
    suffix = re.sub(r"[^\w.=-]+", "_", "-".join(parts))
    if len(suffix) > _RUN_NAME_LENGTH:
        suffix = hashlib.sha256(suffix.encode()).hexdigest()[:12]
    return "-".join(filter(None, [expansion.outer[-1].stem, suffix]))


def _name(text: str) -> str:
    """Returns the name of the flag that an argument sets."""
    name = text.lstrip("-").partition("=")[0]
    switch = name.removeprefix("no")
    return name if name in _SPECS or switch not in _SPECS else switch


def _refuse_contradictions(values: Settings) -> None:
    """Raises a ValueError for flags that cannot hold together."""
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
    if values.graft_stop is not None and (
        values.graft_stop <= values.graft_start
    ):
        raise ValueError(
            f"--graft_stop={values.graft_stop} must be above "
            f"--graft_start={values.graft_start}: grafts happen from the one "
            "until before the other. Write --nograft for none."
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


def flags_text(values: Settings) -> str:
    """Returns a flagfile that repeats a run.

    It holds every flag of this package that is set and has a meaning, one a
    line, in the order of the groups, whatever its default. Paths are
    absolute. Parsing it gives `values` again.

    Args:
        values: the settings of the run.
    """
    unused = {
        name for rule in _RULES if rule.applies(values) for name in rule.names
    }
    lines = [
        _text(name, value)
        for name, value in values._asdict().items()
        if name not in unused and value not in (None, ())
    ]
    return "".join(f"{line}\n" for line in lines)


def _text(name: str, value: Any) -> str:
    """Returns a flag as it is written on a command line."""
    if value is None or value == ():
        return f"no --{name}"
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no{name}"
    if isinstance(value, tuple):
        row = io.StringIO()
        csv.writer(row, lineterminator="").writerow(value)
        value = row.getvalue()
    return f"--{name}={value}"


def table() -> str:
    """Returns the Markdown table of all flags, as BUILD.md shows it."""
    lines = []
    for group, specs in _GROUPS.items():
        lines += [
            f"**{group}**",
            "",
            "| flag | default | allowed | meaning |",
            "| --- | --- | --- | --- |",
        ]
        for spec in specs:
            switch = spec.parser is None
            name = f"--[no]{spec.name}" if switch else f"--{spec.name}"
            default = "not set" if spec.default is None else f"{spec.default}"
            if switch:
                default = f"--{'' if spec.default else 'no'}{spec.name}"
            allowed = "a switch" if switch else spec.parser.syntactic_help
            lines.append(f"| `{name}` | {default} | {allowed} | {spec.help} |")
        lines.append("")
    return "\n".join(lines)
