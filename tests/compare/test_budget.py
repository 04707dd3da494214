"""The hours of a study while it runs."""

import time

import pytest
from compare_fixture import make_study

from keras_graft.compare import outcomes
from keras_graft.compare import plan_file
from keras_graft.compare import study as studies
from keras_graft.compare.budget import Budget
from keras_graft.compare.outcomes import Outcome
from keras_graft.compare.plan_file import Hours
from keras_graft.compare.plan_file import Pace
from keras_graft.compare.planning import run_seconds


@pytest.fixture
def budget(tmp_path):
    """Two arms, two seeds, 10 s a run; a minute, and 20 s used before."""
    study = make_study(tmp_path, names=("single", "swa"), num_seeds=2)
    runs = studies.arm_runs(study)
    plan_file.write_hours(tmp_path, Hours([], None, None, 20.0))
    now = time.monotonic()
    return study, Budget(1 / 60, 20.0, now, dict.fromkeys(runs, 10.0))


def test_what_is_left_counts_earlier_starts(budget):
    _, left = budget
    assert left.left() == pytest.approx(40.0, abs=1.0)
    assert left.planned == 40.0


def test_runs_have_room_until_they_are_slow(budget):
    study, left = budget
    runs = list(left.predicted)
    assert left.has_room(runs[2:])
    left.took(study, runs[0], 25.0)
    assert left.slowness == 2.5
    assert not left.has_room(runs[2:])
    assert plan_file.read_hours(study.folder).used_seconds >= 20.0


def test_slow_runs_of_an_earlier_start_are_not_forgotten(budget):
    _, left = budget
    left.look_back()
    assert left.slowness == 1.0
    for run, seconds in zip(left.predicted, (25.0, 35.0), strict=False):
        run.folder.mkdir(parents=True)
        outcomes.write(run.folder, Outcome([], seconds, 1, None, []))
    left.look_back()
    assert left.slowness == 3.0


def test_runs_that_are_done_need_no_room(budget):
    _, left = budget
    for run in left.predicted:
        run.folder.mkdir(parents=True)
        outcomes.write(run.folder, Outcome([], 1.0, 1, None, []))
    left.used_before = 1000.0
    assert left.has_room(list(left.predicted))


def test_seconds_of_a_run_grow_with_its_steps_and_operations():
    pace = Pace(30.0, 0.5, 0.1, 1000.0)
    assert run_seconds(pace, 10, 20, 200_000) == pytest.approx(30 + 5 + 20)
    # Twice the operations in each step, such as a larger model's.
    assert run_seconds(pace, 10, 20, 400_000) == pytest.approx(30 + 5 + 40)
