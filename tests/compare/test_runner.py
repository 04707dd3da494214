"""A study from start to end, killed and continued."""

import json
import signal

import keras
import msgspec
import numpy as np
import pytest
from compare_fixture import make_record
from compare_fixture import make_study

from keras_graft.compare import outcomes
from keras_graft.compare import records
from keras_graft.compare import runner
from keras_graft.compare import study as studies
from keras_graft.compare.outcomes import Outcome
from keras_graft.runs.batches import load_splits
from keras_graft.runs.exit_codes import ALL_DIVERGED
from keras_graft.runs.exit_codes import RunError
from keras_graft.runs.signals import Interrupted
from keras_graft.runs.signals import StopSignals


def start(study):
    with StopSignals() as signals:
        return runner.start(study, study.folder / "records.json", signals)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A study that was killed in its third run and started again."""
    folder = tmp_path_factory.mktemp("study")
    study = make_study(folder, names=("single", "swa", "ensemble"))
    launched = []
    launch = runner.one_run.run

    def killed_in_third_run(settings, signals):
        launched.append(settings.workdir)
        if len(launched) == 3:
            raise Interrupted(signal.SIGTERM)
        return launch(settings, signals)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner.one_run, "run", killed_in_third_run)
        with pytest.raises(Interrupted):
            start(study)
        before = records.read(folder / "records.json")
        start(study)
    return study, launched, before, records.read(folder / "records.json")


def test_killed_study_goes_on_where_it_was(finished):
    study, launched, before, after = finished
    names = [path.split("/")[-2] for path in launched]
    assert names == ["single", "swa", "independent", "independent"]
    arms = ["single", "swa", "best_of_n", "ensemble"]
    assert [record.arm for record in after] == arms
    assert before == after[:2]


def test_record_says_what_launch_says(finished):
    study, _, _, (single, _, best, ensemble) = finished
    run = study.folder / "runs" / "single" / "seed0"
    results = json.loads((run / "results.json").read_text())
    assert single.test_accuracy == pytest.approx(results["test_accuracy"])
    assert single.seconds == results["seconds"]
    assert single.train_examples == 108
    assert single.best_epoch_test_accuracy is None
    run = study.folder / "runs" / "independent" / "seed0"
    results = json.loads((run / "results.json").read_text())
    assert ensemble.test_accuracy == pytest.approx(
        results["ensemble_test_accuracy"]
    )
    assert ensemble.shipped == "ensemble"
    assert best.shipped == results["selected"]
    assert best.test_accuracy == pytest.approx(results["test_accuracy"])
    assert ensemble.divergence > 0


def test_costs_count_networks_and_epochs(finished):
    _, _, _, (single, swa, _, ensemble) = finished
    images = 3 * 32  # whole batches of 108 images
    assert single.flops_train == 3 * images * single.flops_inference
    assert swa.flops_train == single.flops_train
    assert ensemble.flops_train == 2 * single.flops_train
    assert ensemble.flops_inference == 2 * single.flops_inference
    assert ensemble.total_filters == 2 * single.total_filters


def test_records_hold_no_path_of_this_machine(finished):
    study, _, _, found = finished
    text = (study.folder / "records.json").read_text()
    assert str(study.folder) not in text
    assert "--model=resnet8" in found[0].flags


def test_finished_study_does_nothing_but_its_report(finished, monkeypatch):
    study, _, _, found = finished
    monkeypatch.delattr(runner.one_run, "run")
    report = study.folder / "report.html"
    report.unlink()
    assert start(study) == 0
    assert report.exists()
    assert records.read(study.folder / "records.json") == found


@pytest.mark.slow
def test_records_alone_continue_a_study(finished, tmp_path, monkeypatch):
    study, _, _, found = finished
    names = ("single", "swa", "ensemble", "mutual")
    more = make_study(tmp_path, names=names)
    records.write(tmp_path / "records.json", found)
    launched = []
    launch = runner.one_run.run

    def counted(settings, signals):
        launched.append(settings.workdir.split("/")[-2])
        return launch(settings, signals)

    monkeypatch.setattr(runner.one_run, "run", counted)
    assert start(more) == 0
    assert launched == ["mutual"]
    after = records.read(tmp_path / "records.json")
    assert [record for record in after if record.arm != "mutual"] == found
    assert "mutual" in [record.arm for record in after]


def test_records_made_with_other_flags_are_refused(finished, tmp_path):
    *_, found = finished
    records.write(tmp_path / "records.json", found)
    other = make_study(
        tmp_path, "--epochs=2", names=("single", "swa", "ensemble")
    )
    with pytest.raises(RunError, match="--epochs=1\n  now: --epochs=2"):
        start(other)
    assert records.read(tmp_path / "records.json") == found


def test_records_that_were_computed_another_way_are_taken(
    finished, tmp_path, monkeypatch
):
    *_, found = finished
    assert "--recompute" in found[0].flags
    # As versions wrote them that knew no --recompute.
    older = [
        msgspec.structs.replace(
            record,
            flags=[
                "--nojit" if line == "--recompute" else line
                for line in record.flags
            ],
        )
        for record in found
    ]
    records.write(tmp_path / "records.json", older)
    monkeypatch.delattr(runner.one_run, "run")
    assert start(make_study(tmp_path, names=("single", "swa", "ensemble"))) == 0
    assert records.read(tmp_path / "records.json") == older


def test_records_of_arms_that_the_study_lacks_are_not_lost(finished, tmp_path):
    *_, found = finished
    records.write(tmp_path / "records.json", found)
    with pytest.raises(RunError, match="swa with seed 0.*name these --arms"):
        start(make_study(tmp_path))
    assert records.read(tmp_path / "records.json") == found


def test_teacher_of_finished_students_is_not_trained_again(
    tmp_path, monkeypatch
):
    study = make_study(tmp_path, names=("distillation",))
    *_, student = studies.arm_runs(study)
    flags = outcomes.portable_flags(
        studies.settings_of(study, student, study.grid[0]), student
    )
    found = make_record("distillation", flags=flags)
    records.write(tmp_path / "records.json", [found])
    monkeypatch.delattr(runner.one_run, "run")
    assert start(study) == 0
    assert records.read(tmp_path / "records.json") == [found]
    assert not (tmp_path / "teacher").exists()


def test_folder_of_another_study_is_refused(finished):
    study, *_ = finished
    other = make_study(study.folder, "--epochs=2")
    with pytest.raises(RunError, match="--epochs=1\n  now: --epochs=2"):
        start(other)


@pytest.mark.parametrize(
    ("content", "entry"),
    [
        (b"", "no JSON"),
        (b"[]", "object"),
        (b'{"flags": [], "seconds": -1}', "`seconds`"),
    ],
)
def test_damaged_outcome_is_named(tmp_path, content, entry):
    study = make_study(tmp_path)
    (run,) = studies.arm_runs(study)
    run.folder.mkdir(parents=True)
    (run.folder / "outcome.json").write_bytes(content)
    with pytest.raises(RunError, match=f"outcome.json holds no.*{entry}"):
        start(study)


def test_plan_prints_runs_and_hours(finished, tmp_path, capsys):
    study, *_ = finished
    names = ("single", "swa", "ensemble", "mutual")
    more = make_study(study.folder, names=names)
    runner.show_plan(more)
    lines = capsys.readouterr().out.splitlines()
    done = {line.split()[0]: line.split()[1] for line in lines[1:-1]}
    assert done == {
        "single": "1",
        "swa": "1",
        "independent": "1",
        "mutual": "0",
    }
    assert "4 runs" in lines[-1] and "hours left" in lines[-1]
    assert runner.show_plan(make_study(tmp_path / "new")) == 0
    assert "0 of 1" in capsys.readouterr().out
    assert not (tmp_path / "new").exists()


def test_tuning_chooses_by_mean_validation_accuracy(tmp_path):
    study = make_study(tmp_path, learning_rates=(0.1, 0.2), tuning_seeds=2)
    for run, accuracy in zip(
        studies.tuning_runs(study), (0.5, 0.9, 0.8, 0.3), strict=True
    ):
        run.folder.mkdir(parents=True)
        outcomes.write(run.folder, Outcome([], 1.0, 1, accuracy, []))
    assert outcomes.choose(study) == (0.1, 5e-4)
    choice = json.loads((tmp_path / "tune" / "choice.json").read_text())
    assert [row["validation_accuracy"] for row in choice] == [0.65, 0.6]
    assert [row["chosen"] for row in choice] == [True, False]


def test_divergence_is_a_result_of_the_tuning_and_an_end_for_an_arm(
    tmp_path, monkeypatch
):
    study = make_study(tmp_path, learning_rates=(0.1, 99.0))

    def diverge(settings, signals):
        raise RunError("Every network diverged", ALL_DIVERGED)

    monkeypatch.setattr(runner.one_run, "run", diverge)
    with pytest.raises(RunError, match="Every network diverged"):
        start(study)
    tuned = [outcomes.read(run.folder) for run in studies.tuning_runs(study)]
    assert [outcome.validation_accuracy for outcome in tuned] == [0.0, 0.0]
    (run,) = studies.arm_runs(study)
    assert outcomes.read(run.folder) is None


def test_run_that_ends_early_ends_the_study_with_its_exit_code(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(runner.one_run, "run", lambda settings, signals: 143)
    study = make_study(tmp_path)
    assert start(study) == 143
    (run,) = studies.arm_runs(study)
    assert outcomes.read(run.folder) is None


@pytest.mark.slow
def test_student_pays_for_its_teacher(tmp_path):
    study = make_study(tmp_path, names=("distillation",))
    assert start(study) == 0
    (record,) = records.read(tmp_path / "records.json")
    # The teacher is trained like the student, and sees each of its images.
    passes = 3 + 3 + 1
    assert record.flops_train == passes * 3 * 32 * record.flops_inference
    runs = [outcomes.read(run.folder) for run in studies.arm_runs(study)]
    assert record.seconds == pytest.approx(sum(r.seconds for r in runs))
    assert record.flags[-1] == "--teachers=teacher/seed0/shipped.keras"


@pytest.mark.slow
def test_born_again_network_costs_what_n_networks_cost(tmp_path):
    study = make_study(
        tmp_path,
        "--epochs=4",
        "--validation_fraction=0.2",
        names=("born_again", "single_long"),
    )
    assert start(study) == 0
    teacher, student, _ = studies.arm_runs(study)
    long, again = records.read(tmp_path / "records.json")
    # 3 epochs and 3 with the teacher's pass beside: 3 + 4 of 8.
    assert again.flops_train / long.flops_train == pytest.approx(7 / 8)
    assert again.epochs == 3
    assert again.shipped == "average"
    assert again.flags[-1] == "--teachers=teacher_itself/seed0/shipped.keras"
    # Untaught, the second would be the first again: seed, epochs, images.
    first, second = (
        keras.models.load_model(run.folder / "shipped.keras")
        for run in (teacher, student)
    )
    images = np.zeros((1, *first.input_shape[1:]))
    assert first.count_params() == second.count_params()
    assert not np.allclose(first.predict(images), second.predict(images))


@pytest.mark.slow
def test_study_ships_averages_of_several_networks(tmp_path):
    names = ("mutual:average", "graft_slope_10:average")
    study = make_study(
        tmp_path, "--validation_fraction=0.2", "--epochs=2", names=names
    )
    file = tmp_path / "records.json"
    with StopSignals() as signals:
        assert runner.start(study, file, signals) == 0
    graft, mutual = sorted(records.read(file), key=lambda r: r.arm)
    assert (mutual.shipped, graft.shipped) == ("average", "average")
    assert mutual.flops_train == graft.flops_train
    # Grafted networks end as one, the others are told apart on validation.
    assert graft.divergence == pytest.approx(0.0, abs=1e-9)
    assert mutual.divergence > 0.0
    saved = [
        keras.models.load_model(
            tmp_path / f"runs/mutual_average/seed0/network_{k}.keras",
            compile=False,
        )
        for k in range(2)
    ]
    splits = load_splits(
        runner.settings_of(study, runner.arm_runs(study)[0], (0.1, 5e-4))
    )
    accuracies = [
        np.mean(
            np.argmax(n.predict(splits.validation.images, verbose=0), -1)
            == splits.validation.labels
        )
        for n in saved
    ]
    assert mutual.validation_accuracy == pytest.approx(max(accuracies))
