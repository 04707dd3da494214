"""A plan on disk, as written, as changed by a person, and damaged."""

import pytest

from keras_graft.compare import plan_file
from keras_graft.compare.hours import Choice
from keras_graft.compare.plan_file import Hours
from keras_graft.compare.plan_file import Pace
from keras_graft.runs.exit_codes import RunError

CHOICE = Choice(("swa_long", "mutual:average"), 3, 40)
GOOD = ["--arms=single,swa", "--num_networks=2", "--num_seeds=4", "--epochs=5"]


def write(folder, lines):
    (folder / "plan.flags").write_text("\n".join(lines))


def test_plan_is_read_as_it_was_written(tmp_path):
    assert plan_file.read_plan(tmp_path) is None
    plan_file.write_plan(tmp_path, CHOICE, 2, ["Why, for people.", ""])
    assert plan_file.read_plan(tmp_path) == (CHOICE, 2)
    assert "# Why, for people.\n#\n" in (tmp_path / "plan.flags").read_text()


def test_plan_may_be_changed_by_a_person(tmp_path):
    write(tmp_path, ["# mine", "", "--arms=single, swa", *GOOD[1:]])
    assert plan_file.read_plan(tmp_path) == (Choice(("single", "swa"), 4, 5), 2)


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        (GOOD[:-1], "--epochs is missing"),
        ([*GOOD, "--learning_rate=1"], "--learning_rate=1 is no flag of a"),
        ([*GOOD, "--epochs=x"], "--epochs=x must be a whole number from 1"),
        ([*GOOD, "--num_networks=1"], "whole number from 2"),
        ([*GOOD, "--arms=single"], "--arms=single must name two arms"),
        ([*GOOD, "nonsense"], "Line 5 of .* is no flag"),
    ],
)
def test_what_is_no_plan_is_named(tmp_path, lines, complaint):
    write(tmp_path, lines)
    with pytest.raises(RunError, match=complaint):
        plan_file.read_plan(tmp_path)


def test_hours_are_read_as_they_were_written(tmp_path):
    assert plan_file.read_hours(tmp_path) is None
    kept = Hours(["--epochs=3"], None, Pace(1.0, 2.0, 0.5, 100.0), 12.5)
    plan_file.write_hours(tmp_path, kept)
    assert plan_file.read_hours(tmp_path) == kept
    (tmp_path / "hours.json").write_text("{}")
    with pytest.raises(RunError, match="hours.json is none of this version"):
        plan_file.read_hours(tmp_path)
