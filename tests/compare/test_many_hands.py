"""Several processes at one study."""

import pathlib
import signal
import subprocess
import sys
import threading
import time

import pytest
from compare_fixture import make_record
from compare_fixture import make_study

from keras_graft.compare import hands
from keras_graft.compare import outcomes
from keras_graft.compare import records
from keras_graft.compare import runner
from keras_graft.compare import study as studies
from keras_graft.compare.outcomes import Outcome
from keras_graft.runs.exit_codes import RunError
from keras_graft.runs.lock import DirectoryLock
from keras_graft.runs.signals import StopSignals

ROOT = pathlib.Path(__file__).resolve().parents[2]


def start(study, **changes):
    file = study.folder / "records.json"
    with StopSignals() as signals:
        return runner.start(study, file, signals, **changes)


def end(study, run):
    """Does what another process does when a run of it has ended."""
    run.folder.mkdir(parents=True, exist_ok=True)
    found = [
        make_record(arm.name, run.seed, 0.987, num_networks=2)
        for arm in run.arms
    ]
    settings = studies.settings_of(study, run, study.grid[0])
    lines = outcomes.portable_flags(settings, run)
    outcomes.write(run.folder, Outcome(lines, 1.0, 10, 0.5, found))


def test_run_of_another_process_is_left_to_it(tmp_path, capsys):
    study = make_study(tmp_path, names=("single", "swa"))
    single, swa = studies.arm_runs(study)
    with hands.claim(study, single) as ours:
        assert ours
        assert start(study) == 0
        assert "in other hands: single with seed 0" in capsys.readouterr().out
        assert outcomes.read(single.folder) is None
        assert not (tmp_path / "report.html").exists()
        assert [r.arm for r in records.read(tmp_path / "records.json")] == [
            "swa"
        ]
        end(study, single)
    # Whoever comes next ends the study, and tells nothing if asked to.
    assert start(study, reports=False) == 0
    assert "98.70" not in capsys.readouterr().out
    assert not (tmp_path / "report.html").exists()
    assert start(study) == 0
    assert "98.70" in capsys.readouterr().out
    assert (tmp_path / "report.html").exists()
    assert len(records.read(tmp_path / "records.json")) == 2


def test_tuning_of_another_process_is_waited_for(tmp_path, capsys):
    study = make_study(tmp_path, learning_rates=(0.1, 0.2))
    first, second = studies.tuning_runs(study)
    (single,) = studies.arm_runs(study)
    end(study, first)
    end(study, single)
    held = threading.Event()

    def other():
        with hands.claim(study, second):
            held.set()
            time.sleep(1)
            end(study, second)

    process = threading.Thread(target=other)
    process.start()
    held.wait()
    assert start(study) == 0
    process.join()
    assert "Waiting for other processes: tune" in capsys.readouterr().out
    assert outcomes.choose(study) == (0.1, 5e-4)


def test_wait_has_an_end_that_names_what_it_was_for(tmp_path, monkeypatch):
    monkeypatch.setattr(hands, "MOST_HOURS", 0.0)
    study = make_study(tmp_path, names=("distillation",))
    teacher, _ = studies.arm_runs(study)
    with hands.claim(study, teacher):
        with pytest.raises(RunError, match="teacher with seed 0, distillation"):
            start(study)


def test_the_wait_is_counted_from_what_went_on_last(tmp_path, monkeypatch):
    study = make_study(tmp_path, names=("single", "distillation"))
    single, teacher, _ = sorted(
        studies.arm_runs(study), key=lambda run: run.name != "single"
    )
    clock = [0.0]
    monkeypatch.setattr(hands.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(hands.time, "sleep", lambda _: end(study, teacher))

    def do(run):
        # Longer than others may hold what is needed.
        clock[0] += 3600 * (hands.MOST_HOURS + 1)
        end(study, run)
        return 0

    with hands.claim(study, teacher):
        code, left = hands.do_all(study, studies.arm_runs(study), do, True)
    assert (code, left) == (0, [])


def test_run_of_a_process_that_was_killed_is_free(tmp_path):
    study = make_study(tmp_path)
    (run,) = studies.arm_runs(study)
    folder = tmp_path / "claims" / "runs" / "single" / "seed0"
    folder.mkdir(parents=True)
    holder = (
        "import sys, time; from keras_graft.runs.lock import DirectoryLock\n"
        "with DirectoryLock(__import__('pathlib').Path(sys.argv[1])):\n"
        "    print('held', flush=True); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(folder)],
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
    ) as process:
        assert process.stdout.readline() == b"held\n"
        with hands.claim(study, run) as ours:
            assert not ours
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert (folder / ".lock").exists()
    with hands.claim(study, run) as ours:
        assert ours


def test_two_write_the_records_one_after_the_other(tmp_path):
    study = make_study(tmp_path)
    order = []

    def other():
        with DirectoryLock(tmp_path):
            held.set()
            time.sleep(0.5)
            order.append("other")

    held = threading.Event()
    process = threading.Thread(target=other)
    process.start()
    held.wait()
    with hands.alone(study):
        order.append("this")
    process.join()
    assert order == ["other", "this"]
