"""Settings as text: folders of runs, flags to repeat them, the table."""

import os
import pathlib
import re

import pytest
from absl import flags as absl_flags

from keras_graft import flags
from keras_graft.structure.printable import printable

ROOT = pathlib.Path(__file__).resolve().parents[2]


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
        ["--graft_half_life=2", "--graft_target=mean", "--ship=mean"],
        ["--graft_source=exchange", "--graft_share=0.001"],
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


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[31mb", "a\u2028b", "a "])
def test_folder_whose_name_no_line_can_hold_is_refused(
    parse, tmp_path, monkeypatch, name
):
    """What was given is harmless; what it means from here is not."""
    folder = tmp_path / name
    folder.mkdir()
    given = [["--workdir=."], ["--dataset=cifar10", "--data_dir=."]]
    # A space at the end is one at the end of the whole only.
    given += [] if name == "a " else [[], ["--workdir=x"]]
    monkeypatch.chdir(folder)
    for arguments in given:
        with pytest.raises((absl_flags.Error, ValueError)) as error:
            parse(*arguments)
        assert "cannot repeat such a path" in str(error.value)
        assert printable(str(error.value)) == str(error.value)
    elsewhere = tmp_path / "run"
    assert parse(f"--workdir={elsewhere}").workdir == str(elsewhere)


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
