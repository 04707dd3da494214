"""`--hours` on the digits, with paces that were timed before."""

import time

import pytest
from compare_fixture import make_record
from compare_fixture import make_study

from keras_graft.compare import outcomes
from keras_graft.compare import plan_file
from keras_graft.compare import planning
from keras_graft.compare.budget import Budget
from keras_graft.compare.budget import do_what_fits
from keras_graft.compare.hours import ORDER
from keras_graft.compare.hours import Wish
from keras_graft.compare.outcomes import Outcome
from keras_graft.compare.plan_file import Hours
from keras_graft.compare.plan_file import Pace
from keras_graft.compare.study import arm_runs
from keras_graft.runs.batches import load_splits
from keras_graft.runs.exit_codes import RunError


@pytest.fixture(scope="module")
def splits(tmp_path_factory):
    return load_splits(make_study(tmp_path_factory.mktemp("splits")).base)


def make_timed(folder, *arguments, used=0.0):
    """A study of 3 steps an epoch: 20 s a run, 0.01 s a step."""
    study = make_study(folder, *arguments, names=ORDER)
    paces = Pace(20.0, 0.0, 0.01, 1.4e8), Pace(20.0, 0.0, 0.02, 2.8e8)
    kept = Hours(planning.timed_flags(study), *paces, used_seconds=used)
    plan_file.write_hours(folder, kept)
    return study


def plan(study, hours, splits, wish=Wish()):
    now = time.monotonic()
    return planning.plan(study, wish, hours, splits, now, None)


def test_plan_fits_into_the_hours_and_is_kept(tmp_path, splits, capsys):
    study = make_timed(tmp_path)
    planned, budget = plan(study, 0.1, splits)
    names = [arm.name for arm in planned.arms]
    assert names == ["swa_long", "mutual_average"]
    assert 0.7 * 360 < budget.planned <= 0.9 * 360
    said = capsys.readouterr().out
    assert "Plan for --hours=0.1: 2 arms" in said
    assert "Left out for want of time: swa, ensemble_average." in said
    assert str(tmp_path / "plan.flags") in said
    # More hours are more time for the same plan.
    again, more = plan(study, 5.0, splits)
    assert again == planned
    assert more.planned == budget.planned


def test_plan_that_was_changed_is_followed(tmp_path, splits):
    study = make_timed(tmp_path)
    plan(study, 0.1, splits)
    file = tmp_path / "plan.flags"
    kept = file.read_text().partition("--arms")[0]
    file.write_text(
        f"{kept}--arms=single,swa\n--num_networks=3\n--num_seeds=2\n"
        "--epochs=7\n"
    )
    planned, budget = plan(study, 0.1, splits)
    assert [arm.name for arm in planned.arms] == ["single", "swa"]
    assert (planned.num_seeds, planned.base.epochs) == (2, 7)
    assert planned.base.num_networks == 3
    assert set(budget.predicted) == set(arm_runs(planned))


def test_too_few_hours_are_refused_with_what_would_fit(tmp_path, splits):
    study = make_timed(tmp_path)
    with pytest.raises(RunError, match=r"The least is 2 arms") as refused:
        plan(study, 0.01, splits)
    assert not (tmp_path / "plan.flags").exists()
    hours = float(
        str(refused.value).partition("Give --hours=")[2].split(";")[0]
    )
    _, budget = plan(study, hours, splits)
    assert budget.planned <= 3600 * hours


def test_other_flags_are_refused_before_anything_is_timed(tmp_path, splits):
    make_timed(tmp_path)
    other = make_study(tmp_path, "--batch_size=16", names=ORDER)
    with pytest.raises(RunError, match="now: --batch_size=16"):
        plan(other, 0.1, splits)


def test_plan_that_contradicts_the_flags_is_named(tmp_path, splits):
    study = make_timed(tmp_path)
    plan_file.write_plan(tmp_path, planning.Choice(("swa", "x"), 2, 3), 2, [])
    with pytest.raises(RunError, match="plan.flags: There is no arm 'x'"):
        plan(study, 0.1, splits)


@pytest.fixture
def two_seeds(tmp_path):
    study = make_study(tmp_path, names=("single", "swa"), num_seeds=2)
    runs = arm_runs(study)
    budget = Budget(0.1, 0.0, time.monotonic(), dict.fromkeys(runs, 10.0))

    def do(run):
        run.folder.mkdir(parents=True)
        found = [make_record(run.name, run.seed)]
        outcomes.write(run.folder, Outcome([], 1.0, 1, None, found))
        # Time flies.
        budget.used_before += 120
        return 0

    return study, runs, do, budget


def test_seed_that_does_not_fit_is_not_begun(two_seeds, capsys):
    study, runs, do, budget = two_seeds
    budget.used_before = 100
    code, rest = do_what_fits(study, runs, do, budget)
    assert (code, rest) == (0, [])
    done = [run.seed for run in runs if outcomes.read(run.folder)]
    assert done == [0, 0]
    assert "No time is left for seed 1." in capsys.readouterr().out


def test_no_time_for_any_seed_is_said(two_seeds):
    study, runs, do, budget = two_seeds
    budget.used_before = 350
    with pytest.raises(RunError, match="no seed of the plan can be done"):
        do_what_fits(study, runs, do, budget)
