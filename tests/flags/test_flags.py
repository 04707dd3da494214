import os
import pathlib
import re
import subprocess
import sys
import time

import pytest
from absl import flags as absl_flags

from keras_graft import flags

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture
def parse(tmp_path, monkeypatch):
    """Parses flags in an empty folder, on top of the flags' own defaults."""
    monkeypatch.chdir(tmp_path)
    bare = tmp_path / "bare.flags"
    bare.write_text("# no flag\n")

    def parse_flags(*arguments):
        flag_values = absl_flags.FlagValues()
        flags.define(flag_values)
        command = ["launch", f"--flagfile={bare}", *arguments]
        return flags.parse(command, flag_values)

    return parse_flags


def launch(folder, *arguments):
    """Runs the command; returns exit code, imported modules, both outputs."""
    done = subprocess.run(
        [
            sys.executable,
            "-X",
            "importtime",
            "-m",
            "keras_graft.launch",
            *arguments,
        ],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    lines = done.stderr.splitlines()
    timing = [line for line in lines if line.startswith("import time:")]
    modules = {line.rpartition("|")[2].strip() for line in timing}
    rest = "\n".join(line for line in lines if line not in timing)
    return done.returncode, modules, done.stdout, rest


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


def test_paths_become_absolute(parse, tmp_path):
    values = parse("--dataset=cifar10", "--data_dir=x", "--workdir=~/y")
    assert values.data_dir == str(tmp_path / "x")
    assert values.workdir == os.path.expanduser("~/y")


def test_workdir_is_named_after_the_flagfile(parse, tmp_path):
    file = tmp_path / "mine.flags"
    file.write_text("--seed=1\n")
    assert parse().workdir == str(tmp_path / "runs" / "bare")
    assert parse(f"--flagfile={file}").workdir == str(
        tmp_path / "runs" / "mine"
    )


def test_workdir_names_the_flags_that_make_it_another_run(parse, tmp_path):
    file = tmp_path / "mine.flags"
    file.write_text("--seed=1\n")
    flagfile = f"--flagfile={file}"

    def folder(*arguments):
        return os.path.basename(parse(flagfile, *arguments).workdir)

    assert folder("--nograft", "--seed=2") == "mine-seed=2-nograft"
    assert folder("--seed=2", "--nograft") == "mine-seed=2-nograft"
    assert folder("--epochs=3", "--resume=auto") == "mine"
    many = [f"--{name}=0.123456789" for name in ("momentum", "weight_decay")]
    many += ["--mutual_weight=0.123456789", "--graft_slope=0.123456789"]
    many += ["--learning_rate=0.123456789"]
    assert len(folder(*many)) < 40
    assert folder(*many) != folder(*many, "--seed=3")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--nograft", "--mutual_weight=0", "--num_networks=1"],
        ["--graft_source=noise", "--graft_threshold=0.3", "--graft_stop=9"],
        ["--graft_criterion=gamma", "--learning_rate=0.1234567890123456"],
        ['--teachers=a.keras,"b,c.keras"', "--teacher_weight=0.5"],
        ["--dataset=cifar10", "--data_dir=my images#1", "--jit", "--plan"],
    ],
)
def test_flags_text_repeats_the_run_from_another_folder(
    parse, tmp_path, monkeypatch, arguments
):
    for name in ("a.keras", "b,c.keras"):
        (tmp_path / name).write_text("")
    values = parse(*arguments)
    file = tmp_path / "flags.txt"
    file.write_text(flags.flags_text(values))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert parse(f"--flagfile={file}") == values


def test_flags_text_holds_defaults_in_order_of_the_groups(parse):
    lines = flags.flags_text(parse("--nograft")).splitlines()
    names = [line.lstrip("-").partition("=")[0] for line in lines]
    assert names.index("dataset") < names.index("model")
    assert names.index("model") < names.index("epochs")
    assert names.index("epochs") < names.index("nograft")
    assert names.index("nograft") < names.index("mutual_weight")
    assert "--epochs=20" in lines
    assert not any(name.startswith("graft_") for name in names)
    assert not any("verbosity" in name for name in names)


def test_table_shows_what_helpfull_shows():
    flag_values = absl_flags.FlagValues()
    flags.define(flag_values)
    help_text = flag_values.get_help(include_special_flags=False)
    words = " ".join(help_text.split())
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in flags.table().splitlines()
        if line.startswith("| `")
    ]
    assert len(rows) == len(list(flag_values))
    for name, default, allowed, meaning in rows:
        entry = f"{name.strip('`')}: {meaning}"
        if "[no]" in name:
            if default != "not set":
                shown = "false" if default.startswith("--no") else "true"
                entry += f" (default: '{shown}')"
        else:
            if default != "not set":
                entry += f" (default: '{default}')"
            entry += f" ({allowed})"
        # Wrapping may break a long word at a hyphen.
        assert entry.replace(" ", "") in words.replace(" ", "")


def test_page_of_the_command_line_holds_the_table():
    page = ROOT / "docs" / "command_line.md"
    assert flags.table() in page.read_text(encoding="utf-8")


def test_table_covers_every_setting():
    for name in flags.Settings._fields:
        assert re.search(rf"`--(\[no\])?{name}`", flags.table())


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--epohcs=3", "Unknown command line flag 'epohcs'"),
        ("--learning_rate=nan", "it must be a number in (0, 100]"),
        ("--model=resnt20", "did you mean resnet20?"),
        ("--flagfile=cifra10.flags", "Did you mean cifar10.flags?"),
        ("--batches=own", "Add --mutual_weight=0"),
        ("--nograft=1", "--nograft=1 does not take an argument"),
    ],
)
def test_launch_refuses_before_tensorflow_is_imported(
    tmp_path, argument, message
):
    code, modules, _, error = launch(tmp_path, argument)
    assert code == 1
    assert "FATAL Flags parsing error" in error
    assert message in error
    assert "Traceback" not in error
    assert "keras_graft.flags" in modules
    assert not modules & {"keras", "tensorflow", "sklearn", "matplotlib"}
    assert list(tmp_path.iterdir()) == []


def test_launch_refuses_in_a_blink(tmp_path):
    start = time.monotonic()
    code, _, _, error = launch(tmp_path, "--learning_rate=nan")
    # A fraction of a second, were the machine not shared.
    assert time.monotonic() - start < 3.0
    assert (code, "FATAL" in error) == (1, True)


def test_launch_help_lists_the_flags_without_tensorflow(tmp_path):
    _, modules, output, _ = launch(tmp_path, "--help")
    for name in flags.Settings._fields:
        assert f"{name}: " in output
    assert "tensorflow" not in modules


def test_launch_prints_the_flagfiles_it_uses(tmp_path):
    (tmp_path / "mine.flags").write_text("--flagfile=cifar10.flags\n")
    code, _, output, _ = launch(
        tmp_path, "--flagfile=mine.flags", "--only_check_args"
    )
    assert code == 0
    used = re.findall("^Flagfile: (.*)$", output, flags=re.MULTILINE)
    assert used == [
        str(tmp_path / "mine.flags"),
        str(ROOT / "launch" / "cifar10.flags"),
    ]
