"""The table of slices: which command answers what on a GPU."""

import dataclasses
import shlex


@dataclasses.dataclass(frozen=True)
class Slice:
    """One command.

    Attributes:
        words: What it is about.
        command: After `python`, without where its JSON goes.
        small: What is added to try it on a CPU; a later word wins.
        full: What is added otherwise.
        variables: Of its environment.
        json: The word that says where its JSON goes.
        has_precision: Whether `--precision` is for it.
    """

    words: str
    command: tuple[str, ...]
    small: tuple[str, ...] = ()
    full: tuple[str, ...] = ()
    variables: dict[str, str] = dataclasses.field(default_factory=dict)
    json: str = "--json="
    has_precision: bool = False


# Name: networks, model, further words, words that make it small.
_SIZES = {
    "resnet20_4": (4, "resnet20", (), ("--model=resnet8", "--networks=2")),
    "resnet20_1": (1, "resnet20", (), ("--model=resnet8",)),
    "resnet20_8": (8, "resnet20", (), ("--model=resnet8", "--networks=3")),
    "mobilenetv2_2": (2, "mobilenetv2", (), ()),
    "resnet50_2": (
        2,
        "resnet50",
        ("--image_size=224", "--batch_size=64", "--train_images=1280"),
        ("--model=resnet18", "--image_size=32"),
    ),
}
_SMALL_BATCH = ("--batch_size=8", "--train_images=32")
_SMALL_TURNS = (*_SMALL_BATCH, "--turns=2")
_PYTORCH = "--of=pytorch --compile --channels_last"
# What differs on a GPU: kernels, XLA, precisions, and who owns the memory.
_TESTS = (
    "tests/acceleration",
    "tests/structure",
    "tests/optimizers",
    "tests/grafting",
    "tests/distillation",
    "tests/trainer",
)
_SMALL_TESTS = ("tests/acceleration/test_built_alike.py",)


def _steps(*sides, size="resnet20_4"):
    networks, model, words, small = _SIZES[size]
    return (
        (
            "benchmarks/steps.py",
            f"--networks={networks}",
            f"--model={model}",
            "--steps=10",
            "--minutes=2",
            *words,
            *sides,
        ),
        (*small, *_SMALL_TURNS, "--steps=1"),
    )


def _epochs(size):
    networks, model, words, small = _SIZES[size]
    images = ("--train_images=10240", "--validation_images=2560")
    return (
        (
            "benchmarks/throughput.py",
            f"--networks={networks}",
            f"--model={model}",
            "--stages=epochs",
            "--compile",
            "--minutes=3",
            *images,
            *words,
        ),
        (*small, *_SMALL_BATCH, "--validation_images=16", "--rounds=1"),
    )


def _kernels(size, *sides):
    networks, model, words, small = _SIZES[size]
    return (
        (
            "benchmarks/kernels.py",
            f"--networks={networks}",
            f"--model={model}",
            *words,
            *sides,
        ),
        (*small, *_SMALL_BATCH, "--steps=2"),
    )


def _command_buffers(kinds):
    xla = f"--xla_gpu_enable_command_buffer={kinds}"
    if kinds:
        xla += " --xla_gpu_graph_min_graph_size=1"
    return f"--of=XLA_FLAGS={shlex.quote(xla)} trainer --jit"


def slices() -> dict[str, Slice]:
    """All of them by name, in the order in which they are worth their time."""
    found = {
        "kernels": Slice(
            "where a step's time goes: kernels and gaps",
            *_kernels(
                "resnet20_4",
                "--of=trainer --jit",
                "--of=fit --jit",
                "--of=trainer --nojit",
            ),
        ),
        "trial_command_buffers": Slice(
            "trial: XLA's command buffers, none and all",
            *_steps(
                "--of=trainer --jit",
                _command_buffers(""),
                _command_buffers("FUSION,CUBLAS,CUBLASLT,CUDNN,CUSTOM_CALL"),
            ),
        ),
        "trial_whole_step": Slice(
            "trial: the whole step under XLA, clusters, nothing",
            *_steps(
                "--of=trainer --jit",
                "--of=trainer --nojit",
                "--of=TF_XLA_FLAGS=--tf_xla_auto_jit=2 trainer --nojit",
                "--of=fit --jit",
            ),
        ),
        "trial_resident_images": Slice(
            "trial: uint8 images on the device, augmented there",
            *_steps("--of=trainer --jit", "--of=resident --jit"),
        ),
        "trial_steps_per_execution": Slice(
            "trial: several steps in one execution",
            *_steps(
                "--of=trainer --jit",
                "--of=trainer --jit --steps_per_execution=4",
                "--of=fit --jit",
                "--of=fit --jit --steps_per_execution=4",
            ),
        ),
        "trial_bfloat16": Slice(
            "trial: bfloat16",
            *_steps(
                "--of=trainer --jit",
                "--of=trainer --jit --precision=bfloat16",
                "--of=fit --jit",
                "--of=fit --jit --precision=bfloat16",
            ),
        ),
    }
    for size, (networks, model, _, _) in _SIZES.items():
        found[f"steps_{size}"] = Slice(
            f"steps of {networks} x {model}",
            *_steps(
                "--of=trainer --jit", "--of=fit --jit", _PYTORCH, size=size
            ),
            has_precision=True,
        )
        found[f"epochs_{size}"] = Slice(
            f"epochs of {networks} x {model}",
            *_epochs(size),
            has_precision=True,
        )
    found["kernels_resnet50"] = Slice(
        "where the time of 2 x resnet50 goes",
        *_kernels("resnet50_2", "--of=trainer --jit", "--of=fit --jit"),
    )
    found["tests"] = Slice(
        "the tests that may differ there, TF32 off",
        ("-m", "pytest", "-q", "-p", "measuring.outcomes"),
        _SMALL_TESTS,
        _TESTS,
        {"NVIDIA_TF32_OVERRIDE": "0", "TF_FORCE_GPU_ALLOW_GROWTH": "true"},
        json="--outcomes=",
    )
    return found
