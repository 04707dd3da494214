"""`--hours` -> a study that fits, and its budget."""

import dataclasses
from typing import Any

from keras_graft.compare import arms
from keras_graft.compare import hands
from keras_graft.compare import hours as fitting
from keras_graft.compare import measure
from keras_graft.compare import outcomes
from keras_graft.compare import plan_file
from keras_graft.compare import study as studies
from keras_graft.compare.budget import Budget
from keras_graft.compare.hours import Choice
from keras_graft.compare.hours import Wish
from keras_graft.compare.pace import pace_of
from keras_graft.compare.plan_file import Hours
from keras_graft.compare.plan_file import Pace
from keras_graft.compare.study import Run
from keras_graft.compare.study import Study
from keras_graft.runs.batches import steps_per_epoch
from keras_graft.runs.exit_codes import RunError
from keras_graft.runs.signals import StopSignals
from keras_graft.structure.printable import printable

_HOW_TO_CHANGE = (
    "What follows may be changed before the first run is done: the same",
    "command goes by it. Afterwards arms and seeds may be added.",
)


def plan(
    study: Study,
    wish: Wish,
    hours: float,
    splits: Any,
    began: float,
    signals: StopSignals,
) -> tuple[Study, Budget]:
    """Reads the plan of a study's folder, or makes one that fits and keeps it.

    Args:
        study: What the command line says; `arms` are all that a plan may
            have.
        wish: What it leaves open.
        hours: What `--hours` says.
        splits: The images of the first seed.
        began: When the command began, by `time.monotonic`.
        signals: One that is entered.

    Returns:
        The study as it is planned, and its time.

    Raises:
        RunError: If nothing fits, with what would; if the folder holds a
            study with other flags.
        Interrupted: If a signal ends the timing.
    """
    with hands.alone(study):
        kept = _timed(study, hours, splits, signals)
        known = plan_file.read_plan(study.folder)
        if known is not None:
            choice, num_networks = known
            study = _with_networks(study, num_networks)
        cost = _Cost(study, kept, splits)
        budget = Budget(hours, kept.used_seconds, began, {})
        if known is None:
            steps = steps_per_epoch(study.base, splits)
            choice = _choose(cost, wish, budget, steps)
        try:
            planned = cost.study_of(choice)
            studies.check(planned)
        except ValueError as error:
            path = plan_file.plan_path(study.folder)
            raise RunError(f"The plan {path}: {error}") from error
        budget.predicted = cost.by_run(planned)
        budget.look_back()
        about = _about(planned, choice, budget, kept)
        if known is None:
            plan_file.write_plan(
                study.folder,
                choice,
                study.base.num_networks,
                [*about, "", *_HOW_TO_CHANGE],
            )
    path = plan_file.plan_path(study.folder)
    print("\n".join(about))
    print(printable(f"The plan is in {path}"), flush=True)
    return planned, budget


def _with_networks(study, num_networks):
    base = study.base._replace(num_networks=num_networks)
    return dataclasses.replace(study, base=base)


class _Cost:
    """What a plan takes, from what was timed."""

    def __init__(self, study, kept, splits):
        self._study = study
        self._kept = kept
        self._splits = splits
        self._of_a_seed: dict[tuple, tuple[float, float]] = {}

    def study_of(self, choice: Choice) -> Study:
        """The study that a plan is."""
        return dataclasses.replace(
            self._study,
            arms=arms.resolve(list(choice.arms)),
            num_seeds=choice.num_seeds,
            base=self._study.base._replace(epochs=choice.epochs),
        )

    def __call__(self, choice: Choice) -> float:
        # A seed is like another.
        key = choice.arms, choice.epochs
        if key not in self._of_a_seed:
            study = self.study_of(choice._replace(num_seeds=1))
            tuning = sum(self._seconds(study, studies.tuning_runs(study)))
            seed = sum(self._seconds(study, studies.arm_runs(study)))
            self._of_a_seed[key] = tuning, seed
        tuning, seed = self._of_a_seed[key]
        return tuning + choice.num_seeds * seed

    def by_run(self, study: Study) -> dict[Run, float]:
        """Seconds of each run of a study."""
        runs = [*studies.tuning_runs(study), *studies.arm_runs(study)]
        return dict(zip(runs, self._seconds(study, runs), strict=True))

    def _seconds(self, study, runs):
        # Runs of one name differ in their seeds, and what they try, alone.
        known: dict[str, float] = {}
        for run in runs:
            if run.name not in known:
                known[run.name] = self._run_seconds(study, run)
        return [known[run.name] for run in runs]

    def _run_seconds(self, study, run):
        settings = studies.settings_of(study, run, study.grid[0])
        flops = measure.run_flops(run, settings, self._splits)
        return run_seconds(
            self._pace(settings.num_networks),
            settings.epochs,
            steps_per_epoch(settings, self._splits),
            flops,
        )

    def _pace(self, num_networks):
        one, several = self._kept.one, self._kept.several
        if num_networks == 1:
            return one or several
        return several or one


def run_seconds(pace: Pace, epochs: int, steps: int, flops: int) -> float:
    """What a run takes.

    Args:
        pace: Of runs like it.
        epochs: Its epochs.
        steps: Steps in each.
        flops: Operations of all of them.
    """
    step = pace.step_seconds * flops / (epochs * steps) / pace.step_flops
    return pace.beside_seconds + epochs * (pace.epoch_seconds + steps * step)


def timed_flags(study: Study) -> list[str]:
    """The flags of a study that its timing holds for."""
    return [
        line
        for line in outcomes.portable_flags(study.base)
        if not line.startswith(("--epochs=", "--num_networks="))
    ]


def _timed(study, hours, splits, signals):
    """What was timed before, or is now."""
    flags = timed_flags(study)
    kept = plan_file.read_hours(study.folder)
    if kept is not None:
        outcomes.refuse_changes(study.folder, kept.flags, flags)
        return kept
    print("Timing a few steps of each kind of run ...", flush=True)
    paces: dict[str, Pace | None] = {"one": None, "several": None}
    for run in studies.arm_runs(dataclasses.replace(study, num_seeds=1)):
        settings = studies.settings_of(study, run, study.grid[0])
        kind = "one" if settings.num_networks == 1 else "several"
        if paces[kind] is None and run.teacher is None:
            paces[kind] = pace_of(study, run, splits, hours, signals)
    kept = Hours(flags, **paces, used_seconds=0.0)
    plan_file.write_hours(study.folder, kept)
    return kept


def _choose(cost, wish, budget, steps):
    beside = budget.used()
    left = fitting.usable(max(0.0, budget.left()))
    choice = fitting.choose(left, cost, wish, steps)
    if choice is None:
        least = fitting.smallest(wish, steps)
        hours = fitting.hours_for(cost(least), beside)
        raise RunError(
            f"--hours={budget.hours:g} is too short for anything that could "
            f"tell. The least is {_said(least)}: about "
            f"{cost(least) / 60:.1f} minutes on this machine as it is loaded "
            f"now, beside {beside / 60:.1f} for data and timing. Give "
            f"--hours={hours:g}; or smaller images (--image_size), fewer "
            "(--train_examples), or a smaller --model, with another --workdir."
        )
    return choice


def _said(choice):
    return (
        f"{len(choice.arms)} arms ({', '.join(choice.arms)}) with "
        f"{choice.num_seeds} seeds of {choice.epochs} epochs"
    )


def _about(study, choice, budget, kept):
    """The plan for a person."""
    lines = [
        f"Plan for --hours={budget.hours:g}: {_said(choice)}.",
        f"{'run':<20}{'seeds':>6}{'minutes each':>14}{'minutes':>9}",
    ]
    by_name: dict[str, list[float]] = {}
    for run, seconds in budget.predicted.items():
        by_name.setdefault(run.name, []).append(seconds / 60)
    lines += [
        f"{name:<20}{len(each):>6}{each[0]:>14.1f}{sum(each):>9.1f}"
        for name, each in by_name.items()
    ]
    lines.append(
        f"In all {budget.planned / 60:.1f} of {60 * budget.hours:.1f} minutes, "
        f"after {budget.used() / 60:.1f} so far. Timed: "
        + "; ".join(
            f"{name} {1000 * pace.step_seconds:.0f} ms a step, "
            f"{pace.beside_seconds:.0f} s beside a run's epochs"
            for name, pace in (
                ("one network", kept.one),
                (f"{study.base.num_networks} networks", kept.several),
            )
            if pace is not None
        )
        + "."
    )
    ahead = budget.slowness * sum(
        seconds
        for run, seconds in budget.predicted.items()
        if outcomes.read(run.folder) is None
    )
    if ahead > budget.left():
        lines.append(
            f"{ahead / 60:.1f} minutes are still to do, and "
            f"{max(0.0, budget.left()) / 60:.1f} left: seeds that do not fit "
            "are left out."
        )
    left_out = [name for name in fitting.ORDER if name not in choice.arms]
    if choice.arms == fitting.ORDER[: len(choice.arms)] and left_out:
        lines.append(f"Left out for want of time: {', '.join(left_out)}.")
    return lines
