"""A study with `--hours` on a few digits: timed, killed, continued, told."""

import signal
import time

import pytest
from compare_fixture import make_study

from keras_graft import flags
from keras_graft.compare import pace
from keras_graft.compare import plan_file
from keras_graft.compare import planning
from keras_graft.compare import records
from keras_graft.compare import runner
from keras_graft.compare.hours import Wish
from keras_graft.runs.signals import Interrupted
from keras_graft.runs.signals import StopSignals

ARMS = ("single", "swa")
HOURS = 1.0


def begin(study):
    now = time.monotonic()
    with StopSignals() as signals:
        planned, budget = runner.plan(
            study, Wish(ARMS, 2, 2), HOURS, now, signals
        )
        file = study.folder / "records.json"
        return runner.start(planned, file, signals, budget=budget)


@pytest.mark.slow
def test_study_is_timed_once_and_ends_with_a_recommendation(
    tmp_path, monkeypatch, capsys
):
    study = make_study(tmp_path, names=ARMS)
    launch, seeds = runner.one_run.run, []

    def killed_in_fourth_run(settings, signals, **more):
        seeds.append(settings.seed)
        if len(seeds) == 4:
            raise Interrupted(signal.SIGTERM)
        return launch(settings, signals, **more)

    monkeypatch.setattr(runner.one_run, "run", killed_in_fourth_run)
    with pytest.raises(Interrupted):
        begin(study)
    # The timing, with a seed of its own, is no run of the study.
    assert seeds == [pace._SEED, 0, 0, 1]
    timed = plan_file.read_hours(tmp_path)
    assert timed.used_seconds > 0
    assert timed.one.step_seconds > 0 and timed.one.beside_seconds > 0
    assert not list(tmp_path.glob(".keras_graft-*"))
    plan = (tmp_path / "plan.flags").read_text()
    monkeypatch.setattr(planning, "pace_of", None)
    capsys.readouterr()
    assert begin(study) == 0
    assert seeds[4:] == [1, 1]
    assert (tmp_path / "plan.flags").read_text() == plan
    assert plan_file.read_hours(tmp_path).used_seconds > timed.used_seconds
    told = capsys.readouterr().out
    # The digits have one test split for all seeds.
    assert "All seeds are tested on the same 355 images." in told
    assert "Seeds: 2 of 2 planned." in told
    found = records.read(tmp_path / "records.json")
    assert [record.epochs for record in found] == [2] * 4
    values = flags.FlagValues()
    flags.define(values)
    recipe = f"--flagfile={tmp_path / 'recommended.flags'}"
    advised = flags.parse(["launch", recipe], values)
    assert advised.num_networks == 1 and advised.epochs == 2
    assert "What to use" in (tmp_path / "report.html").read_text()
