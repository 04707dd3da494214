"""The hours of a study while it runs: what is used, and what still fits."""

import dataclasses
import time
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence

import msgspec

from keras_graft.compare import hands
from keras_graft.compare import outcomes
from keras_graft.compare import plan_file
from keras_graft.compare.study import Run
from keras_graft.compare.study import Study
from keras_graft.runs.exit_codes import DONE
from keras_graft.runs.exit_codes import RunError


@dataclasses.dataclass
class Budget:
    """What `--hours` leaves.

    Attributes:
        hours: Of all starts together.
        used_before: Seconds that earlier starts used.
        began: When this start began, by `time.monotonic`.
        predicted: Seconds that each run of the study is to take.
        slowness: How much longer runs took than was predicted.
    """

    hours: float
    used_before: float
    began: float
    predicted: Mapping[Run, float]
    slowness: float = 1.0
    _done: list[tuple[float, float]] = dataclasses.field(default_factory=list)

    @property
    def planned(self) -> float:
        """Seconds of all runs, as predicted."""
        return sum(self.predicted.values())

    def used(self) -> float:
        """Seconds, of earlier starts too."""
        return self.used_before + time.monotonic() - self.began

    def left(self) -> float:
        """Seconds."""
        return 3600 * self.hours - self.used()

    def has_room(self, runs: Sequence[Run]) -> bool:
        """Whether what is left of some runs will end in time."""
        left = [run for run in runs if outcomes.read(run.folder) is None]
        need = sum(self.predicted[run] for run in left) * self.slowness
        return not left or need <= self.left()

    def look_back(self) -> None:
        """Learns from the runs that earlier starts did.

        Of those only the training was timed: they were as slow at least.
        """
        found = [
            (outcome.seconds, predicted)
            for run, predicted in self.predicted.items()
            if (outcome := outcomes.read(run.folder)) is not None
        ]
        if found:
            taken, predicted = map(sum, zip(*found, strict=True))
            self.slowness = max(1.0, taken / predicted)

    def took(self, study: Study, run: Run, seconds: float) -> None:
        """Learns from a run that was done whole, and keeps what is used."""
        self._done.append((seconds, self.predicted[run]))
        taken, predicted = map(sum, zip(*self._done, strict=True))
        self.slowness = taken / predicted
        self.keep(study)

    def keep(self, study: Study) -> None:
        """Writes down what is used, for the next start."""
        with hands.alone(study):
            kept = plan_file.read_hours(study.folder)
            plan_file.write_hours(
                study.folder,
                msgspec.structs.replace(kept, used_seconds=self.used()),
            )


def do_what_fits(
    study: Study,
    runs: Sequence[Run],
    do: Callable[[Run], int],
    budget: Budget,
) -> tuple[int, list[Run]]:
    """Does runs seed by seed, as long as a whole seed fits.

    Args:
        study: The study.
        runs: The runs of its arms.
        do: As for `hands.do_all`.
        budget: What is left.

    Returns:
        As `hands.do_all`.

    Raises:
        RunError: If there is no time for a single seed.
    """
    rest = []
    for seed in sorted({run.seed for run in runs}):
        mine = [run for run in runs if run.seed == seed]
        if not budget.has_room(mine):
            if not outcomes.records_in(study.folder):
                raise RunError(
                    f"--hours={budget.hours:g} has {budget.left() / 60:.1f} "
                    "minutes left, in which no seed of the plan can be done. "
                    f"Give more --hours, or change the plan in {study.folder}."
                )
            print(f"No time is left for seed {seed}.")
            break
        code, others = hands.do_all(study, mine, do, wait=False)
        if code != DONE:
            return code, []
        rest += others
    return DONE, rest
