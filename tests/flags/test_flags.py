"""What a command line may hold, and what is refused."""

import re

import pytest
from absl import flags as absl_flags

from keras_graft import flags


def test_defaults_graft_and_distil(parse):
    values = parse()
    assert values.graft
    assert values.graft_source == "external"
    assert values.graft_criterion == "entropy"
    assert values.graft_amplitude == 0.4
    assert values.graft_slope == 10.0
    assert values.graft_blend == "block"
    assert values.graft_threshold == 0.1
    assert values.graft_every == 1
    assert values.graft_start == 1
    assert values.graft_stop is None
    assert values.mutual_weight == 1.0
    assert values.mutual_temperature == 2.0
    assert values.teachers == ()


def test_settings_are_frozen(parse):
    with pytest.raises(AttributeError):
        parse().epochs = 3


def test_parsing_leaves_absl_flags_alone(parse):
    parse("--epochs=3")
    assert "epochs" not in absl_flags.FLAGS


def test_later_flag_wins(parse):
    assert parse("--epochs=3", "--epochs", "4").epochs == 4
    assert parse("--nograft", "--graft").graft is True


def numeric_flags():
    flag_values = absl_flags.FlagValues()
    flags.define(flag_values)
    return [
        name
        for name in flag_values
        if flag_values[name].flag_type() in ("int", "float")
    ]


@pytest.mark.parametrize("name", numeric_flags())
@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "-1", "", "abc"])
def test_number_that_is_none_is_refused(parse, name, value):
    with pytest.raises(
        absl_flags.IllegalFlagValueError,
        match=rf"flag --{name}={value}: it must be an? (number|integer) in",
    ):
        parse(f"--{name}={value}")


@pytest.mark.parametrize(
    ("argument", "allowed"),
    [
        ("--graft_amplitude=1.0001", "[0, 1]"),
        ("--validation_fraction=1", "[0, 1)"),
        ("--momentum=1.0", "[0, 1)"),
        ("--learning_rate=0", "(0, 100]"),
        ("--learning_rate=101", "(0, 100]"),
        ("--weight_decay=1.5", "[0, 1]"),
        ("--mutual_temperature=0", "(0, inf)"),
        ("--invalid_threshold=0", "(0, inf)"),
        ("--num_networks=0", "[1, 2147483647]"),
        ("--seed=2147483648", "[0, 2147483647]"),
        ("--epochs=2.5", "[1, 2147483647]"),
    ],
)
def test_number_out_of_range_is_refused(parse, argument, allowed):
    with pytest.raises(
        absl_flags.IllegalFlagValueError, match=re.escape(f"in {allowed}")
    ):
        parse(argument)


def test_closed_ends_of_ranges_are_allowed(parse):
    values = parse(
        "--graft_amplitude=1",
        "--validation_fraction=0",
        "--momentum=0",
        "--learning_rate=100",
        "--seed=2147483647",
    )
    assert values.graft_amplitude == 1.0
    assert values.validation_fraction == 0.0
    assert values.seed == 2147483647


@pytest.mark.parametrize(
    ("argument", "hint"),
    [
        ("--model=resnt20", "did you mean resnet20? It must be one of resnet8"),
        ("--dataset=cifar", "did you mean cifar10? It must be one of digits"),
        ("--precision=float61", "did you mean float16? It must be one of"),
        ("--strategy=tpu", "It must be one of auto, none, mirrored"),
    ],
)
def test_unknown_name_is_refused_with_a_hint(parse, argument, hint):
    with pytest.raises(absl_flags.IllegalFlagValueError, match=re.escape(hint)):
        parse(argument)


def test_datasets_of_ones_own_are_paths_or_names(parse, tmp_path):
    assert parse("--dataset=folder:a b").dataset == f"folder:{tmp_path / 'a b'}"
    assert parse("--dataset=npz:x.npz").dataset == f"npz:{tmp_path / 'x.npz'}"
    name = "tfds:cats_vs_dogs:4.0.1"
    assert parse(f"--dataset={name}", "--data_dir=x").dataset == name
    assert parse("--dataset=imagenet2012").dataset == "tfds:imagenet2012"
    for wrong in ("folder:", "tfds:", "tfds:../x", "tfds:a b", "files:x"):
        with pytest.raises(
            absl_flags.IllegalFlagValueError, match="it must|It"
        ):
            parse(f"--dataset={wrong}")
    with pytest.raises(ValueError, match="--data_dir=.* has no meaning"):
        parse("--dataset=folder:x", "--data_dir=y")
    with pytest.raises(ValueError, match="--resize=pad has no meaning"):
        parse("--resize=pad")


def test_unknown_flag_is_refused_with_a_hint(parse):
    with pytest.raises(
        absl_flags.UnrecognizedFlagError, match="Did you mean: epochs"
    ):
        parse("--epohcs=3")


def test_argument_that_is_no_flag_is_refused(parse):
    with pytest.raises(ValueError, match="Unexpected argument 'epochs=3'"):
        parse("--seed=1", "epochs=3")


def test_recipe_without_flagfile_is_refused_with_a_hint(parse):
    with pytest.raises(
        ValueError, match="Did you mean --flagfile=cifar10.flags"
    ):
        parse("cifar10.flags", "--seed=1")


def test_own_batches_with_mutual_distillation_are_refused(parse):
    with pytest.raises(ValueError, match="Add --mutual_weight=0"):
        parse("--batches=own")
    assert parse("--batches=own", "--mutual_weight=0").batches == "own"
    assert parse("--batches=own", "--num_networks=1").batches == "own"


@pytest.mark.parametrize("stop", [2, 3])
def test_graft_that_stops_before_it_starts_is_refused(parse, stop):
    with pytest.raises(ValueError, match="must be above --graft_start=3"):
        parse("--graft_start=3", f"--graft_stop={stop}")
    assert parse("--graft_start=3", "--graft_stop=4").graft_stop == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--graft_criterion=gamma", "--graft_slope=3"],
            "--graft_slope=3.0 has no meaning with --graft_criterion=gamma:",
        ),
        (
            ["--graft_threshold=0.2"],
            "--graft_threshold=0.2 has no meaning with "
            "--graft_source=external (the default):",
        ),
        (
            ["--graft_target=mean"],
            "--graft_target=mean has no meaning with no --graft_half_life",
        ),
        (
            ["--graft_half_life=1", "--graft_every=2"],
            "--graft_every=2 has no meaning with --graft_half_life=1.0: moves",
        ),
        (
            ["--graft_half_life=1", "--graft_source=exchange"],
            "--graft_half_life=1.0 has no meaning with --graft_source=exchange",
        ),
        (
            ["--graft_half_life=1", "--graft_target=mean", "--graft_slope=1"],
            "--graft_slope=1.0 has no meaning with --graft_target=mean",
        ),
        (
            ["--graft_share=0.1"],
            "--graft_share=0.1 has no meaning with --graft_source=external",
        ),
        (
            ["--ship=mean", "--num_networks=1"],
            "--ship=mean has no meaning with --num_networks=1",
        ),
        (
            ["--graft_half_life=1", "--graft_criterion=gamma"],
            "--graft_criterion=gamma weighs filters",
        ),
        (
            ["--graft_criterion=l1", "--graft_source=noise"],
            "--graft_criterion=l1 has no meaning with --graft_source=noise:",
        ),
        (
            ["--nograft", "--graft_every=2"],
            "--graft_every=2 has no meaning with --nograft:",
        ),
        (
            ["--mutual_weight=0", "--mutual_temperature=4"],
            "--mutual_temperature=4.0 has no meaning with --mutual_weight=0.0:",
        ),
        (
            ["--teacher_weight=2"],
            "--teacher_weight=2.0 has no meaning with no --teachers",
        ),
        (
            ["--strategy=none", "--replicas=2"],
            "--replicas=2 has no meaning with --strategy=none:",
        ),
        (
            ["--data_dir=images"],
            "has no meaning with --dataset=digits (the default):",
        ),
    ],
)
def test_flag_without_a_meaning_is_refused(parse, arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        parse(*arguments)


def test_flag_without_a_meaning_inside_one_flagfile_is_refused(parse, tmp_path):
    file = tmp_path / "both.flags"
    file.write_text("--graft_slope=3\n--graft_criterion=gamma\n")
    with pytest.raises(ValueError, match="--graft_slope=3.0 has no meaning"):
        parse(f"--flagfile={file}")


def test_flag_that_a_flagfile_took_the_meaning_from_is_refused(parse, tmp_path):
    base = tmp_path / "base.flags"
    base.write_text("--graft_criterion=gamma\n")
    with pytest.raises(ValueError, match="--graft_slope=3.0 has no meaning"):
        parse(f"--flagfile={base}", "--graft_slope=3")


def test_later_flag_resets_what_it_takes_the_meaning_from(parse, tmp_path):
    base = tmp_path / "base.flags"
    base.write_text("--graft_slope=3\n--graft_every=2\n")
    values = parse(f"--flagfile={base}", "--graft_criterion=gamma")
    assert values.graft_slope == 10.0
    assert values.graft_every == 2
    assert parse(f"--flagfile={base}", "--nograft").graft_every == 1


def test_teachers_must_exist(parse, tmp_path):
    (tmp_path / "a.keras").write_text("")
    with pytest.raises(
        absl_flags.IllegalFlagValueError, match="b.keras is not"
    ):
        parse("--teachers=a.keras,b.keras")


def test_teachers_must_be_keras_files(parse, tmp_path):
    (tmp_path / "a.h5").write_text("")
    with pytest.raises(absl_flags.IllegalFlagValueError, match="a.h5 is not"):
        parse("--teachers=a.h5")


def test_jit_on_several_replicas_is_refused(parse):
    with pytest.raises(ValueError, match="compiles for one device"):
        parse("--jit", "--replicas=2")
    assert parse("--jit").jit
    assert parse("--replicas=2").jit is None


def test_workdir_that_is_a_file_is_refused(parse, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="is a file. Give a folder"):
        parse("--workdir=file")


@pytest.mark.parametrize("path", ["", "a\nb", "a\u2028b", " a", "a "])
def test_path_that_a_flagfile_cannot_hold_is_refused(parse, path):
    with pytest.raises(absl_flags.IllegalFlagValueError, match="it must"):
        parse(f"--workdir={path}")


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ((), set()),
        (("--epochs=3", "--nograft"), {"epochs", "graft"}),
        (("--epochs", "3", "--arms=swa"), {"epochs"}),
    ],
)
def test_flags_of_the_unnamed_recipe_are_not_given(arguments, names):
    assert flags.given(["compare", *arguments]) == names


@pytest.mark.parametrize(
    "named", [("--flagfile=digits.flags",), ("--flagfile", "digits.flags")]
)
def test_flags_of_a_named_recipe_are_given(named):
    found = flags.given(["compare", *named, "--seed=1"])
    assert {"epochs", "num_networks", "seed"} <= found
    assert "data_dir" not in found
