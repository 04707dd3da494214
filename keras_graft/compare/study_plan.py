"""What a study costs before it starts, and what is left of it."""

import time
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from keras_graft.compare import measure
from keras_graft.compare import outcomes
from keras_graft.compare import study as studies
from keras_graft.compare.study import Run
from keras_graft.compare.study import Study
from keras_graft.runs import recipe
from keras_graft.runs.batches import TrainingData
from keras_graft.runs.batches import steps_per_epoch

_CALIBRATION_STEPS = 20
# Data, graph, tests of a run: what is not training.
_SECONDS_BESIDE = 15


def costs(study: Study, runs: Sequence[Run], splits: Any) -> dict[Run, int]:
    """Operations of each run, without its teacher's training."""
    anything = study.grid[0]
    return {
        run: measure.run_flops(
            run, studies.settings_of(study, run, anything), splits
        )
        for run in runs
    }


def seconds_per_flop(runs: Iterable[Run]) -> float | None:
    """As measured in the runs that are done; None if none is."""
    found = [outcomes.read(run.folder) for run in runs]
    done = [outcome for outcome in found if outcome is not None]
    flops = sum(outcome.flops for outcome in done)
    return sum(outcome.seconds for outcome in done) / flops if done else None


def calibrate(study: Study, run: Run, splits: Any, flops: int) -> float:
    """Seconds for an operation, from a few steps of a run."""
    settings = studies.settings_of(study, run, study.grid[0])
    trainer = recipe.make_trainer(settings, splits)
    batches = TrainingData(settings, splits).from_epoch(0)
    steps = steps_per_epoch(settings, splits)
    # The first steps make the graph.
    trainer.fit(batches, steps_per_epoch=2, verbose=0)
    started = time.monotonic()
    trainer.fit(batches, steps_per_epoch=_CALIBRATION_STEPS, verbose=0)
    seconds = time.monotonic() - started
    return seconds * settings.epochs * steps / _CALIBRATION_STEPS / flops


def hours_left(cost: Mapping[Run, int], rate: float) -> float:
    """Hours that the runs take which are not done yet.

    Args:
        cost: Operations of each run.
        rate: Seconds for an operation.
    """
    left = [run for run in cost if outcomes.read(run.folder) is None]
    seconds = sum(cost[run] * rate + _SECONDS_BESIDE for run in left)
    return seconds / 3600


def table(cost: Mapping[Run, int], rate: float) -> str:
    """The plan: a line for each kind of run, and the hours left."""
    lines = [
        f"{'run':<20}{'done':>9}{'TFLOP each':>13}{'minutes each':>14}"
        f"{'hours left':>12}"
    ]
    for name in dict.fromkeys(run.name for run in cost):
        mine = {run: flops for run, flops in cost.items() if run.name == name}
        done = sum(outcomes.read(run.folder) is not None for run in mine)
        each = sum(mine.values()) / len(mine)
        lines.append(
            f"{name:<20}{f'{done} of {len(mine)}':>9}{each / 1e12:>13.2f}"
            f"{(each * rate + _SECONDS_BESIDE) / 60:>14.1f}"
            f"{hours_left(mine, rate):>12.2f}"
        )
    lines.append(
        f"{len(cost)} runs, {sum(cost.values()) / 1e12:.0f} TFLOP, "
        f"{hours_left(cost, rate):.1f} hours left at "
        f"{1 / rate / 1e9:.1f} GFLOP/s."
    )
    return "\n".join(lines)
