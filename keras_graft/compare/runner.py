"""Does what is left of a study to do, and writes its records and report.

A study that is started again goes on with the first run that has no outcome,
and that no other process is doing; a run that was interrupted is resumed as
`launch` resumes it.
"""

import contextlib
import gc
import json
import pathlib
import sys
import time
from typing import Any

import keras
import tqdm

from keras_graft import data
from keras_graft.checks.plain_files import read_plain
from keras_graft.compare import advice
from keras_graft.compare import hands
from keras_graft.compare import judgement
from keras_graft.compare import measure
from keras_graft.compare import outcomes
from keras_graft.compare import page
from keras_graft.compare import planning
from keras_graft.compare import records
from keras_graft.compare import study_plan
from keras_graft.compare import study_report
from keras_graft.compare import summary
from keras_graft.compare.budget import Budget
from keras_graft.compare.budget import do_what_fits
from keras_graft.compare.hours import Wish
from keras_graft.compare.outcomes import Outcome
from keras_graft.compare.records import Record
from keras_graft.compare.study import Run
from keras_graft.compare.study import Study
from keras_graft.compare.study import arm_runs
from keras_graft.compare.study import settings_of
from keras_graft.compare.study import tuning_runs
from keras_graft.runs import run as one_run
from keras_graft.runs.batches import load_splits
from keras_graft.runs.exit_codes import ALL_DIVERGED
from keras_graft.runs.exit_codes import DATA_UNAVAILABLE
from keras_graft.runs.exit_codes import DONE
from keras_graft.runs.exit_codes import RunError
from keras_graft.runs.run_directory import RunDirectory
from keras_graft.runs.signals import StopSignals
from keras_graft.runs.whole_files import write_atomically
from keras_graft.structure.printable import printable


def show_plan(study: Study) -> int:
    """Prints the runs with their cost; a few steps are timed where none is
    done yet."""
    runs, cost, splits = _prepare(study)
    rate = study_plan.seconds_per_flop(runs)
    if rate is None:
        rate = study_plan.calibrate(study, runs[0], splits, cost[runs[0]])
    print(study_plan.table(cost, rate))
    return DONE


def plan(
    study: Study, wish: Wish, hours: float, began: float, signals: StopSignals
) -> tuple[Study, Budget]:
    """The study that fits in some hours, as `planning.plan` has it."""
    splits = _load(study.base)
    return planning.plan(study, wish, hours, splits, began, signals)


def start(
    study: Study,
    records_file: pathlib.Path,
    signals: StopSignals,
    reports: bool = True,
    budget: Budget | None = None,
) -> int:
    """Does every run that is not done, and that no other process is doing.

    Args:
        study: The study.
        records_file: Where the records go; runs whose records it holds
            are done.
        signals: One that is entered.
        reports: Whether to write a report and print the table, from which
            the test accuracies are known.
        budget: The time there is; with one the report says what to use.

    Returns:
        Exit code: 0, or that of a run which ended early.

    Raises:
        RunError: If the folder holds another study, or a run fails.
        Interrupted: If a signal ends it.
    """
    _, cost, _ = _prepare(study)
    if budget is not None:
        budget.keep(study)
    with hands.alone(study):
        outcomes.refuse_another_study(study)
        if records_file.exists():
            outcomes.adopt(study, _read(records_file))
            cost = _without_idle_teachers(cost)
    code, rest = _do_all(study, cost, records_file, signals, budget)
    if code != DONE:
        return code
    if rest:
        names = ", ".join(f"{run.name} with seed {run.seed}" for run in rest)
        print(
            f"The rest is in other hands: {names}. Whoever ends last writes "
            "the report; the same command again takes over what is left."
        )
    elif reports:
        _report(study, records_file, budget)
    else:
        print(printable(f"records  {records_file}"))
    return DONE


def _report(study, records_file, budget):
    found = _all_records(study)
    file = study.folder / "report.html"
    shown = f"\nrecords  {records_file}\nreport   {file}"
    if budget is None:
        study_report.write(file, study.folder.name, found)
        print(summary.markdown(found))
    else:
        answers = outcomes.answers_in(study.folder)
        judged = judgement.judge(found, answers)
        text = advice.flagfile(
            study,
            judged.recommended,
            outcomes.choose(study),
            advice.verdict(judged, found),
        )
        recipe = advice.flagfile_path(study)
        write_atomically(recipe, text)
        sections = advice.sections(study, judged, found, answers, budget)
        study_report.write(
            file, study.folder.name, found, page.as_html(sections)
        )
        print(f"\n{page.markdown(sections)}")
        shown += f"\nflags    {recipe}"
    print(printable(shown, kept="\n"))


def _prepare(study):
    runs = [*tuning_runs(study), *arm_runs(study)]
    splits = _load(settings_of(study, runs[0], study.grid[0]))
    return runs, study_plan.costs(study, runs, splits), splits


def _without_idle_teachers(cost):
    """Leaves out teachers whose students are all done."""
    busy = {
        run.teacher.parent
        for run in cost
        if run.teacher and outcomes.read(run.folder) is None
    }
    students = {run.teacher.parent for run in cost if run.teacher}
    idle = students - busy
    return {run: flops for run, flops in cost.items() if run.folder not in idle}


def _read(records_file):
    try:
        return records.read(records_file)
    except (OSError, ValueError) as error:
        raise RunError(str(error)) from error


def _load(settings):
    try:
        return load_splits(settings)
    except data.DataUnavailableError as error:
        raise RunError(str(error), DATA_UNAVAILABLE) from error
    except ValueError as error:
        raise RunError(str(error)) from error


def _do_all(study, cost, records_file, signals, budget):
    """Does every run that is free; returns an exit code and the rest.

    With a budget the arms' runs are done seed by seed, as long as a whole
    seed fits.
    """
    done = [run for run in cost if outcomes.read(run.folder) is not None]
    folder = printable(str(study.folder))
    print(f"{len(cost)} runs, {len(done)} of them done: {folder}")
    with tqdm.tqdm(
        total=sum(cost.values()),
        initial=sum(cost[run] for run in done),
        unit="FLOP",
        unit_scale=True,
        smoothing=0,
        desc="study",
        disable=not sys.stderr.isatty(),
    ) as bar:

        def do_with(chosen):
            def do(run):
                since, goes_on = time.monotonic(), run.folder.exists()
                try:
                    code = _do(study, run, chosen, cost, signals)
                except BaseException:
                    if budget is not None:
                        budget.keep(study)
                    raise
                if budget is not None and goes_on:
                    budget.keep(study)
                elif budget is not None:
                    budget.took(study, run, time.monotonic() - since)
                if code == DONE:
                    if run.pair is None:
                        with hands.alone(study):
                            records.write(records_file, _all_records(study))
                    _tell(bar, run, cost)
                return code

            return do

        # The order of the runs is that of their costs.
        tuned = [run for run in cost if run.pair]
        _refuse_changes(study, tuned, study.grid[0])
        code, _ = hands.do_all(study, tuned, do_with(study.grid[0]), wait=True)
        if code != DONE:
            return code, []
        chosen = outcomes.choose(study)
        print(f"learning_rate={chosen[0]:g}, weight_decay={chosen[1]:g}")
        runs = [run for run in cost if not run.pair]
        _refuse_changes(study, runs, chosen)
        with hands.alone(study):
            records.write(records_file, _all_records(study))
        if budget is None:
            return hands.do_all(study, runs, do_with(chosen), wait=False)
        return do_what_fits(study, runs, do_with(chosen), budget)


def _refuse_changes(study, runs, chosen):
    """Compares the flags of runs that are done with those of the study."""
    for run in runs:
        outcome = outcomes.read(run.folder)
        if outcome is not None:
            settings = settings_of(study, run, chosen)
            lines = outcomes.portable_flags(settings, run)
            outcomes.refuse_changes(run.folder, outcome.flags, lines)


def _do(study, run, chosen, cost, signals):
    """Does a run; returns an exit code."""
    settings = settings_of(study, run, chosen)
    lines = outcomes.portable_flags(settings, run)
    run.folder.mkdir(parents=True, exist_ok=True)
    log_file = run.folder / "log.txt"
    with open(log_file, "a", encoding="utf-8") as log:
        with contextlib.redirect_stdout(log):
            code, seconds = _train(run, settings, signals)
    tuned = None
    if run.pair is not None:
        tuned = 0.0
        if code == DONE:
            tuned = measure.last_validation_accuracy(run)
        elif code == ALL_DIVERGED:
            code = DONE  # A pair that nobody will choose.
    if code != DONE:
        return code
    found, answers = [], None
    if run.arms:
        total = _with_teacher(run, seconds, cost[run])
        found, answers = measure.records_of(
            run, settings, _load(settings), *total
        )
    outcomes.write(
        run.folder,
        Outcome(
            flags=lines,
            seconds=seconds,
            flops=cost[run],
            validation_accuracy=tuned,
            records=found,
            answers=answers,
        ),
    )
    # The graphs of many runs would fill the memory.
    keras.utils.clear_session()
    gc.collect()
    return DONE


def _train(run: Run, settings: Any, signals: StopSignals) -> tuple[int, float]:
    """Trains; returns the exit code and the seconds it took."""
    try:
        code = one_run.run(settings, signals)
    except RunError as error:
        if error.exit_code != ALL_DIVERGED or run.pair is None:
            raise
        return ALL_DIVERGED, 0.0
    if code != DONE:
        return code, 0.0
    results = RunDirectory(run.folder).results
    return DONE, json.loads(read_plain(results))["seconds"]


def _with_teacher(run, seconds, flops):
    if run.teacher is None:
        return seconds, flops
    teacher = outcomes.read(run.teacher.parent)
    return seconds + teacher.seconds, flops + teacher.flops


def _all_records(study: Study) -> list[Record]:
    return summary.ordered(outcomes.records_in(study.folder))


def _tell(bar, run, cost):
    done = [run for run in cost if outcomes.read(run.folder) is not None]
    # Those of other processes too.
    bar.update(sum(cost[run] for run in done) - bar.n)
    if bar.disable:
        hours = study_plan.hours_left(cost, study_plan.seconds_per_flop(cost))
        print(
            f"[{len(done)}/{len(cost)}] {run.name} seed {run.seed} is done; "
            f"{hours:.1f} hours left",
            file=sys.stderr,
            flush=True,
        )
