"""Arms x seeds -> runs and their flags."""

import dataclasses
import pathlib

import pytest
from absl import flags as absl_flags
from compare_fixture import make_study

from keras_graft import flags
from keras_graft.compare import arms
from keras_graft.compare import outcomes
from keras_graft.compare import records
from keras_graft.compare import study as studies
from keras_graft.runs import optimizers

ROOT = pathlib.Path(__file__).resolve().parents[2]
ALL = tuple(arms.ARMS)


def settings_by_run(study, seed=0):
    return {
        run.name: studies.settings_of(study, run, (0.2, 1e-3))
        for run in studies.arm_runs(study)
        if run.seed == seed
    }


def test_unknown_arm_is_refused_with_the_list():
    with pytest.raises(ValueError, match="no arm 'grft_mutual'") as error:
        arms.resolve(["single", "grft_mutual"])
    assert "Did you mean graft_mutual?" in str(error.value)
    assert all(name in str(error.value) for name in arms.ARMS)


def test_every_arm_of_issue_is_there():
    assert {
        "single",
        "single_long",
        "swa",
        "best_of_n",
        "ensemble",
        "averaging",
        "mutual",
        "graft_mutual",
        "distillation",
        "born_again",
        "grafting_plus",
    } <= set(arms.ARMS)
    assert sum(name.startswith("graft_slope") for name in arms.ARMS) > 1
    assert set(arms.RIVALS) <= set(arms.ARMS)


def test_arms_differ_in_what_they_are_about_only(tmp_path):
    found = settings_by_run(make_study(tmp_path, names=ALL))
    # These are one network first, see below.
    del found["fork_late"], found["trunk"]
    assert {s.learning_rate for s in found.values()} == {0.2}
    assert {s.weight_decay for s in found.values()} == {1e-3}
    assert {s.seed for s in found.values()} == {0}
    assert {s.train_examples for s in found.values()} == {120}
    alone = (
        "single",
        "single_long",
        "swa",
        "swa_long",
        "distillation",
        "born_again",
    )
    for name, settings in found.items():
        if name.startswith("teacher"):
            continue
        assert settings.num_networks == (1 if name in alone else 2)
        assert settings.epochs == (2 if name.endswith("_long") else 1)
    assert not found["independent"].graft
    assert found["independent"].mutual_weight == 0
    assert found["independent"].learning_rate_spread == "none"
    assert found["averaging"].graft_amplitude == 0
    assert found["graft_slope_500"].graft_slope == 500
    assert found["graft_slope_500"].mutual_weight == 0
    assert found["mutual"].mutual_weight == 1
    assert not found["mutual"].graft
    assert found["graft_mutual"].graft
    assert found["graft_mutual"].mutual_weight == 1


def test_run_that_arms_share_is_done_once_for_all_of_them(tmp_path):
    (run,) = studies.arm_runs(make_study(tmp_path, names=("ensemble",)))
    assert [arm.name for arm in run.arms] == ["best_of_n", "ensemble"]


def test_teacher_comes_before_its_students_and_once_a_seed(tmp_path):
    study = make_study(
        tmp_path, names=("grafting_plus", "distillation"), num_seeds=2
    )
    runs = studies.arm_runs(study)
    assert [(run.name, run.seed) for run in runs] == [
        ("teacher", 0),
        ("grafting_plus", 0),
        ("distillation", 0),
        ("teacher", 1),
        ("grafting_plus", 1),
        ("distillation", 1),
    ]
    assert runs[1].teacher == runs[0].folder / "shipped.keras"


def test_a_fork_costs_what_n_networks_cost(tmp_path):
    study = make_study(
        tmp_path, "--epochs=400", "--schedule=cosine", names=("fork_late",)
    )
    trunk, fork = studies.arm_runs(study)
    assert (trunk.name, fork.teacher.parent) == ("trunk", trunk.folder)
    trunk, fork = settings_by_run(study).values()
    assert (trunk.num_networks, trunk.epochs) == (1, 480)
    assert trunk.schedule_epochs == 640
    assert (fork.num_networks, fork.epochs) == (2, 160)
    assert 480 + 2 * 160 == 2 * 400
    assert trunk.learning_rate == 0.2
    assert (fork.schedule, fork.swa_start, fork.ship) == ("constant", 0, "mean")


@pytest.mark.parametrize("schedule", ["constant", "step", "cosine"])
def test_a_fork_goes_on_at_the_rate_of_its_trunk(tmp_path, schedule):
    study = make_study(
        tmp_path,
        "--epochs=400",
        f"--schedule={schedule}",
        names=("fork_late",),
    )
    trunk, fork = settings_by_run(study).values()
    course = optimizers.schedule(0.2, schedule, 640, 1)
    end = course(trunk.epochs) if callable(course) else course
    assert fork.learning_rate == pytest.approx(float(end))


def test_a_study_keeps_what_its_networks_begin_with(tmp_path):
    first = tmp_path / "first.keras"
    first.touch()
    study = make_study(tmp_path, f"--initial_network={first}")
    assert f"--initial_network={first}" in outcomes.portable_flags(study.base)


def parsed(flagfile):
    """Settings of a flagfile of `results/`, and the flags of `compare`."""
    flag_values = absl_flags.FlagValues()
    flags.define(flag_values)
    for name in ("arms", "tune_learning_rates", "tune_weight_decays"):
        absl_flags.DEFINE_list(name, [], "", flag_values)
    for name in ("num_seeds", "tune_seeds"):
        absl_flags.DEFINE_integer(name, 5, "", flag_values=flag_values)
    absl_flags.DEFINE_string("teacher_model", "", "", flag_values)
    absl_flags.DEFINE_boolean("report", True, "", flag_values)
    file = ROOT / "results" / flagfile
    return flags.parse(["compare", f"--flagfile={file}"], flag_values), (
        flag_values
    )


@pytest.mark.parametrize("name", ["core", "longer"])
def test_a_study_goes_on_from_the_records_in_the_tree(name):
    base, _ = parsed(f"{name}.flags")
    found = {r.arm: r for r in records.read(ROOT / f"results/{name}.json")}
    names = [
        arm if arm in arms.ARMS else f"{arm.removesuffix('_average')}:average"
        for arm in found
    ]
    pair = (base.learning_rate,), (base.weight_decay,)
    study = studies.Study(base, arms.resolve(names), 10, *pair, 1, "resnet20")
    compared = 0
    for run in studies.arm_runs(study):
        for record in [
            found[arm.name] for arm in run.arms if arm.name in found
        ]:
            if record.seed == run.seed:
                settings = studies.settings_of(study, run, study.grid[0])
                now = outcomes.portable_flags(settings, run)
                outcomes.refuse_changes(run.folder, record.flags, now)
                compared += 1
    assert compared == len(found)


def test_every_variant_of_the_search_can_be_meant(monkeypatch):
    monkeypatch.chdir(ROOT)
    base, flag_values = parsed("search/gentle.flags")
    assert base.seed >= 100
    resolved = arms.resolve(flag_values["arms"].value)
    files = {path.stem for path in ROOT.glob("results/search/gentle/*.flags")}
    assert {f"{name}_average" for name in files} <= {a.name for a in resolved}
    study = studies.Study(base, resolved, 1, (0.2,), (1e-3,), 1, "resnet8")
    studies.check(study)
    # All at one cost.
    for run in studies.arm_runs(study):
        settings = studies.settings_of(study, run, (0.2, 1e-3))
        if run.name not in ("trunk", "fork_late"):
            assert settings.num_networks * settings.epochs == 800


def test_seeds_are_whole_before_the_next_begins(tmp_path):
    study = make_study(
        tmp_path, "--seed=7", names=("single", "mutual"), num_seeds=2
    )
    assert [(r.name, r.seed) for r in studies.arm_runs(study)] == [
        ("single", 7),
        ("mutual", 7),
        ("single", 8),
        ("mutual", 8),
    ]


def test_flagfile_is_an_arm_of_its_own(tmp_path):
    file = tmp_path / "late.flags"
    file.write_text("# graft from epoch 5 on\n--graft\n--graft_start=5\n")
    (arm,) = arms.resolve([str(file)])
    assert (arm.name, arm.description) == ("late", "graft from epoch 5 on")
    study = make_study(tmp_path, names=(str(file),))
    assert settings_by_run(study)["late"].graft_start == 5


def test_any_arm_with_one_network_can_ship_an_average(tmp_path):
    file = tmp_path / "late.flags"
    file.write_text("# graft from epoch 5 on\n--graft\n--graft_start=5\n")
    names = ("mutual", "mutual:average", f"{file}:average")
    study = make_study(tmp_path, names=names)
    runs = {run.name: run for run in studies.arm_runs(study)}
    assert list(runs) == ["mutual", "mutual_average", "late_average"]
    starts = {name: s.swa_start for name, s in settings_by_run(study).items()}
    assert starts == {
        "mutual": None,
        "mutual_average": 0.75,
        "late_average": 0.75,
    }
    assert set(runs["mutual_average"].flags) > set(runs["mutual"].flags)
    assert study.arms[2].description == (
        "graft from epoch 5 on; average of the last weights"
    )


@pytest.mark.parametrize("name", ["swa", "ensemble"])
def test_average_of_what_is_one_or_is_several_is_refused(name):
    with pytest.raises(ValueError, match=f"{name}:average: only an arm"):
        arms.resolve([f"{name}:average"])


def test_flagfile_with_the_name_of_an_arm_is_refused(tmp_path):
    file = tmp_path / "independent.flags"
    file.write_text("--graft\n")
    with pytest.raises(ValueError, match="would be called 'independent'"):
        arms.resolve([str(file)])


def test_grid_is_tuned_with_one_network_and_other_seeds(tmp_path):
    study = make_study(
        tmp_path, learning_rates=(0.1, 0.2), tuning_seeds=2, num_seeds=5
    )
    runs = studies.tuning_runs(study)
    assert [(run.pair[0], run.seed) for run in runs] == [
        (0.1, 1000),
        (0.2, 1000),
        (0.1, 1001),
        (0.2, 1001),
    ]
    settings = studies.settings_of(study, runs[1], (9.0, 9.0))
    assert settings.learning_rate == 0.2
    assert settings.num_networks == 1
    assert len({run.folder for run in runs}) == 4


def test_one_pair_needs_no_tuning(tmp_path):
    assert studies.tuning_runs(make_study(tmp_path)) == []


@pytest.mark.parametrize(
    ("arguments", "changes", "complaint"),
    [
        (("--num_networks=1",), {}, "compare N networks with one"),
        (
            ("--validation_fraction=0",),
            {"learning_rates": (0.1, 0.2)},
            "nothing to tune on",
        ),
        (("--resume=never",), {}, "always goes on where it was"),
        ((), {"arms": ()}, "--arms is empty"),
        ((), {"learning_rates": (-1.0,)}, "learning_rate"),
    ],
)
def test_study_that_cannot_be_meant_is_refused(
    tmp_path, arguments, changes, complaint
):
    study = make_study(tmp_path, *arguments, **changes)
    with pytest.raises(Exception, match=complaint):
        studies.check(study)


def test_study_of_recognition_is_refused(tmp_path):
    study = make_study(tmp_path)
    base = study.base._replace(task="recognition")
    with pytest.raises(ValueError, match="compared by their accuracy"):
        studies.check(dataclasses.replace(study, base=base))


def test_arm_flag_that_is_unknown_is_refused_before_anything_runs(tmp_path):
    file = tmp_path / "odd.flags"
    file.write_text("--graft_slpe=5\n")
    study = make_study(tmp_path, names=(str(file),))
    with pytest.raises(Exception, match="graft_slpe"):
        studies.check(study)
