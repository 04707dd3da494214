"""Whole epochs of the trainer and of its rivals, in interleaved rounds."""

import contextlib
import dataclasses
import os
import pathlib
import statistics
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

from keras_graft.runs.strategy import ONEDNN
from measuring.rival import Rival
from measuring.rival import candidate_modes
from measuring.side import Side
from measuring.turns import Deadline
from measuring.turns import IdleWatch
from measuring.turns import interleave
from measuring.workload import Workload

_GEMM_STEPS = 4
_INPUT_BATCHES = 20
_BARE_STEPS = 4
# The first step of a process is not the pace of PyTorch.
_WARM_UP_PARTS = 10


@dataclasses.dataclass(frozen=True)
class Epochs:
    """What was measured.

    Attributes:
        first: By side: what it answered about its first epoch.
        rounds: By side: what it answered in each round. `trainer` and
            `keras_fits` (N networks): see `keras_side.Gate`; `gemm`: pairs of
            rates; `input`: seconds a batch; `pytorch_tuned` and
            `pytorch_as_shipped` (all networks): see `Rival.epoch`;
            `pytorch_bare`: network-images a second.
        build_seconds: Of the trainer.
        modes: How the rival's processes shared the machine, in words.
        idle_fraction: Processors that sides at rest used.
    """

    first: dict[str, Any]
    rounds: dict[str, list]
    build_seconds: float
    modes: dict[str, str]
    idle_fraction: float


def keras_side(
    kind: str,
    workload: Workload,
    folder: pathlib.Path,
    root: pathlib.Path | None = None,
    variables: dict[str, str] | None = None,
) -> Side:
    """Starts a side on Keras in a folder of its own.

    The trainer has what `launch` gives TensorFlow, a plain fit what
    TensorFlow does by itself.

    Args:
        kind: A kind of `keras_side`.
        workload: What it trains.
        folder: For its log and checkpoints; made here.
        root: As for `Side`.
        variables: As for `Side`.
    """
    folder.mkdir(parents=True)
    config = {
        "kind": kind,
        "workload": workload.config(),
        "folder": str(folder),
    }
    environment = {} if kind == "fit" else ONEDNN
    return Side(
        "keras_side",
        config,
        folder / "log.txt",
        environment=environment,
        variables=variables,
        root=root,
    )


def measure_epochs(
    workload: Workload,
    folder: pathlib.Path,
    rounds: int,
    deadline: Deadline,
    report: Callable[[str], None],
    *,
    with_pytorch: bool = True,
    as_shipped_parts: int = 1,
    compiled: bool = False,
    keep: Callable[[Epochs], None] = lambda epochs: None,
) -> Epochs:
    """Trains epochs of every side, in turns.

    Args:
        workload: What every side trains.
        folder: For logs and checkpoints.
        rounds: Most rounds.
        deadline: When no further round begins.
        report: Called with lines about the progress.
        with_pytorch: Whether the rival takes part.
        as_shipped_parts: See `Rival.epoch`.
        compiled: See `Rival`.
        keep: Called after each round with what was measured so far.
    """
    plain = dataclasses.replace(workload, flags=())
    with contextlib.ExitStack() as stack:
        trainer = stack.enter_context(
            keras_side("trainer", workload, folder / "trainer")
        )
        fit = stack.enter_context(
            keras_side("fit", plain, folder / "keras_fit")
        )
        pids = {"trainer": [trainer.pid], "keras_fits": [fit.pid]}
        for side in (trainer, fit):
            side.receive()
        built = trainer.ask(do="start")["build_seconds"]
        first = {"trainer": trainer.ask(do="epoch")}
        fit.ask(do="start")
        first["keras_fit"] = fit.ask(do="epoch")
        report(
            f"  first epoch: {first['trainer']['seconds']:.1f} s for "
            f"{workload.networks} networks, "
            f"{first['keras_fit']['seconds']:.1f} s for one fit"
        )
        work = {
            "trainer": lambda: trainer.ask(do="epoch"),
            "keras_fits": lambda: total(
                [fit.ask(do="epoch") for _ in range(workload.networks)]
            ),
            "gemm": lambda: trainer.ask(do="gemm", steps=_GEMM_STEPS)["pairs"],
            "input": lambda: trainer.ask(do="input", batches=_INPUT_BATCHES)[
                "seconds"
            ],
        }
        modes = {}
        if with_pytorch:
            (folder / "pytorch").mkdir()
            rival = stack.enter_context(
                Rival(workload, folder / "pytorch", compiled)
            )
            pids["pytorch"] = rival.pids
            rival.start()
            tuned = rival.best_mode(
                candidate_modes(workload.networks, os.cpu_count(), compiled),
                report,
            )
            rival.epoch(tuned, _WARM_UP_PARTS)
            modes = {"tuned": str(tuned), "as_shipped": str(rival.as_shipped)}
            work["pytorch_tuned"] = lambda: rival.epoch(tuned)
            work["pytorch_bare"] = lambda: rival.bare_images_per_second(
                tuned, _BARE_STEPS
            )
            work["pytorch_as_shipped"] = lambda: rival.epoch(
                rival.as_shipped, as_shipped_parts
            )
        watch = IdleWatch(pids)
        owners = {name: name.partition("_")[0] for name in work}
        owners.update(keras_fits="keras_fits", gemm="trainer", input="trainer")

        def epochs(found):
            return Epochs(first, found, built, modes, watch.fraction)

        return epochs(
            interleave(
                {
                    name: watch.turn(owners[name], turn)
                    for name, turn in work.items()
                },
                rounds,
                deadline,
                report,
                lambda found: keep(epochs(found)),
            )
        )


def total(answers: Sequence[dict]) -> dict:
    """The sums of what a side answered, by name.

    Args:
        answers: About epochs one after the other: the same names in each.
    """
    return {name: sum(a[name] for a in answers) for name in answers[0]}


def step_seconds(epochs: Epochs, workload: Workload) -> list[float]:
    """Seconds of a training step of all networks, one value a round."""
    return [e["train"] / workload.steps for e in epochs.rounds["trainer"]]


def gemm_fractions(epochs: Epochs) -> list[float]:
    """Share of the matrix-product rate that a step reaches, by round."""
    return [
        statistics.median(step / product for step, product in pairs)
        for pairs in epochs.rounds["gemm"]
    ]
