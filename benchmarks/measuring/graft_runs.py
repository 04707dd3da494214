"""All grafts of a run, against the reference's way to do them."""

import contextlib
import dataclasses
import os
import pathlib
import statistics
from collections.abc import Callable

from measuring.epochs import keras_side
from measuring.rival import Mode
from measuring.rival import Rival
from measuring.turns import Deadline
from measuring.turns import interleave
from measuring.workload import Workload

MODEL = "resnet110"
EPOCHS = 20


@dataclasses.dataclass(frozen=True)
class GraftRuns:
    """What was measured, one value a round, in seconds.

    Attributes:
        own: All grafts of a run with all that precedes the first one.
        own_each: A graft alone, the median of the run's.
        reference: One exchange of the reference: save, load, entropies,
            blend. As shipped: all processes at once, each with PyTorch's own
            number of threads.
        reference_tuned: The same with the best threads.
        reference_fast: That with PyTorch's own histogram.
    """

    own: list[float]
    own_each: list[float]
    reference: list[float]
    reference_tuned: list[float]
    reference_fast: list[float]

    @property
    def grafts(self) -> int:
        """Grafts of a run: the first epoch begins without one."""
        return EPOCHS - 1


def measure_graft_runs(
    networks: int,
    folder: pathlib.Path,
    rounds: int,
    deadline: Deadline,
    report: Callable[[str], None],
    *,
    flags: tuple[str, ...] = (),
    with_pytorch: bool = True,
) -> GraftRuns:
    """Grafts networks that are not trained meanwhile.

    Args:
        networks: N.
        folder: For logs and checkpoints.
        rounds: Most rounds; each has a fresh process, so that tracing counts.
        deadline: When no further round begins.
        report: Called with lines about the progress.
        flags: Further flags of `keras_graft.launch`.
        with_pytorch: Whether the reference's way is measured.
    """
    # A batch of one image: nothing is trained here.
    workload = Workload(networks, MODEL, 1, 1, 1, flags=flags)
    counter = iter(range(10**6))

    def own():
        place = folder / f"grafts_{next(counter)}"
        with keras_side("grafts", workload, place) as side:
            side.receive()
            side.ask(do="start")
            answer = side.ask(do="grafts", count=EPOCHS - 1)
        return answer["seconds"], statistics.median(answer["each"])

    with contextlib.ExitStack() as stack:
        turns = {"own": own}
        modes = _modes(networks)
        if with_pytorch:
            (folder / "graft_files").mkdir()
            rival = stack.enter_context(Rival(workload, folder / "graft_files"))
            rival.start()

            def passes(fast):
                return [rival.graft_seconds(mode, fast) for mode in modes]

            passes(True)
            turns["reference"] = lambda: rival.graft_seconds(
                rival.as_shipped, fast=False
            )
            turns["reference_tuned"] = lambda: passes(False)
            turns["reference_fast"] = lambda: passes(True)
        found = interleave(turns, rounds, deadline, report)
    return GraftRuns(
        [total for total, _ in found["own"]],
        [each for _, each in found["own"]],
        found.get("reference", []),
        _of_best_mode(found.get("reference_tuned", [])),
        _of_best_mode(found.get("reference_fast", [])),
    )


def _modes(networks):
    """One process with all cores, or as many processes as there are cores."""
    cores = os.cpu_count()
    at_once = min(networks, cores)
    return sorted(
        {Mode(1, cores), Mode(at_once, max(1, cores // at_once))}, key=str
    )


def _of_best_mode(passes):
    if not passes:
        return []
    return min(map(list, zip(*passes, strict=True)), key=statistics.median)
