"""Cold starts: time to the first step, and the peak of memory."""

import contextlib
import dataclasses
import pathlib
from collections.abc import Callable

from measuring.epochs import keras_side
from measuring.memory import PeakMemory
from measuring.rival import Mode
from measuring.rival import Rival
from measuring.turns import Deadline
from measuring.turns import interleave
from measuring.workload import Workload

MANY = 8
_STEPS = 4
_EPOCHS = 2


@dataclasses.dataclass(frozen=True)
class Starts:
    """What was measured, one value a round.

    Attributes:
        first_step: By number of networks: seconds from the first line that
            builds a network to the end of the first step.
        mib: Peak PSS of a few steps, validations and checkpoints: `trainer`
            with N networks; `keras_fits` and `pytorch`, N processes at once.
    """

    first_step: dict[int, list[float]]
    mib: dict[str, list[float]]


def measure_starts(
    workload: Workload,
    folder: pathlib.Path,
    rounds: int,
    deadline: Deadline,
    report: Callable[[str], None],
    *,
    with_pytorch: bool = True,
) -> Starts:
    """Starts fresh processes, one kind after the other.

    Args:
        workload: What every side trains; of its images only as many as a few
            steps need.
        folder: For logs and checkpoints.
        rounds: Most rounds.
        deadline: When no further round begins.
        report: Called with lines about the progress.
        with_pytorch: Whether the rival takes part.
    """
    images = _STEPS * workload.batch_size
    short = dataclasses.replace(workload, train_images=images)
    plain = dataclasses.replace(short, flags=())
    counter = iter(range(10**6))

    def fresh():
        return folder / f"start_{next(counter)}"

    def first_step(count):
        of_count = dataclasses.replace(short, networks=count)
        with keras_side("trainer", of_count, fresh()) as side:
            return _first_step(side)

    def trainer():
        with (
            keras_side("trainer", short, fresh()) as side,
            PeakMemory([side.pid]) as memory,
        ):
            seconds = _first_step(side)
            for _ in range(_EPOCHS - 1):
                side.ask(do="epoch")
        return seconds, memory.mib

    def fits():
        with contextlib.ExitStack() as stack:
            sides = [
                stack.enter_context(keras_side("fit", plain, fresh()))
                for _ in range(workload.networks)
            ]
            with PeakMemory(side.pid for side in sides) as memory:
                for side in sides:
                    side.receive()
                for request in ["start"] + _EPOCHS * ["epoch"]:
                    for side in sides:
                        side.send({"do": request})
                    for side in sides:
                        side.receive()
        return memory.mib

    def pytorch():
        place = fresh()
        place.mkdir()
        with (
            Rival(short, place) as rival,
            PeakMemory(rival.pids) as memory,
        ):
            rival.start()
            for _ in range(_EPOCHS):
                rival.epoch(Mode(workload.networks, 1))
        return memory.mib

    others = sorted({1, MANY} - {workload.networks})
    turns = {str(n): lambda n=n: first_step(n) for n in others}
    turns |= {"trainer": trainer, "keras_fits": fits}
    if with_pytorch:
        turns["pytorch"] = pytorch
    found = interleave(turns, rounds, deadline, report)
    own = found["trainer"]
    return Starts(
        {
            workload.networks: [seconds for seconds, _ in own],
            **{n: found[str(n)] for n in others},
        },
        {
            "trainer": [mib for _, mib in own],
            **{n: found[n] for n in ("keras_fits", "pytorch") if n in found},
        },
    )


def _first_step(side) -> float:
    side.receive()
    built = side.ask(do="start")["build_seconds"]
    return built + side.ask(do="epoch")["first_step"]
