import pathlib
import time

import pytest
from absl import flags as absl_flags

from keras_graft import flags
from keras_graft.flags import flagfiles


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Three empty folders: the current one, another, and the recipes'."""
    made = {}
    for name in ("here", "elsewhere", "recipes"):
        made[name] = tmp_path / name
        made[name].mkdir()
    (made["recipes"] / "digits.flags").write_text("--dataset=digits\n")
    monkeypatch.chdir(made["here"])
    monkeypatch.setattr(flagfiles, "recipes_folder", lambda: made["recipes"])
    return made


def texts(*arguments):
    expansion = flagfiles.expand(arguments)
    return [argument.text for argument in expansion.arguments]


def test_comments_and_empty_lines_are_left_out(folders):
    (folders["here"] / "a.flags").write_text(
        "# a comment\n\n// another\n  --seed=1  \n\t\n--nograft\n"
    )
    assert texts("--flagfile=a.flags") == ["--seed=1", "--nograft"]


def test_flags_take_the_place_of_their_flagfile(folders):
    (folders["here"] / "a.flags").write_text("--seed=1\n")
    assert texts("--epochs=1", "--flagfile", "a.flags", "--epochs=2") == [
        "--epochs=1",
        "--seed=1",
        "--epochs=2",
    ]


def test_default_recipe_comes_first_without_a_flagfile(folders):
    assert texts("--epochs=1") == ["--dataset=digits", "--epochs=1"]


def test_file_as_given_goes_before_a_recipe_of_that_name(folders):
    (folders["here"] / "digits.flags").write_text("--seed=1\n")
    assert texts("--flagfile=digits.flags") == ["--seed=1"]
    assert texts() == ["--dataset=digits"]


def test_included_file_is_found_beside_the_one_that_includes_it(folders):
    (folders["elsewhere"] / "a.flags").write_text("--flagfile=base.flags\n")
    (folders["elsewhere"] / "base.flags").write_text("--seed=1\n")
    (folders["recipes"] / "base.flags").write_text("--seed=2\n")
    assert texts("--flagfile=../elsewhere/a.flags") == ["--seed=1"]


def test_recipe_is_found_from_any_file_and_in_subfolders(folders):
    (folders["recipes"] / "paper").mkdir()
    (folders["recipes"] / "paper" / "dml.flags").write_text("--nograft\n")
    (folders["elsewhere"] / "a.flags").write_text("--flagfile=paper/dml.flags")
    assert texts("--flagfile=paper/dml.flags") == ["--nograft"]
    assert texts("--flagfile=../elsewhere/a.flags") == ["--nograft"]


def test_expansion_names_every_file_in_order(folders):
    (folders["here"] / "a.flags").write_text("--flagfile=digits.flags\n")
    expansion = flagfiles.expand(["--flagfile=a.flags"])
    assert expansion.files == [
        folders["here"] / "a.flags",
        folders["recipes"] / "digits.flags",
    ]
    assert expansion.outer == [folders["here"] / "a.flags"]
    assert expansion.arguments[0].source == expansion.files[1]


def test_missing_file_lists_the_recipes(folders):
    with pytest.raises(
        ValueError,
        match=r"no flagfile 'digit.flags'. Did you mean digits.flags\?.*among "
        r"the recipes: digits.flags",
    ):
        texts("--flagfile=digit.flags")


def test_missing_included_file_names_the_one_that_includes_it(folders):
    (folders["here"] / "a.flags").write_text("--flagfile=b.flags\n")
    with pytest.raises(
        ValueError, match="'b.flags', which .*/a.flags includes"
    ):
        texts("--flagfile=a.flags")


@pytest.mark.parametrize("arguments", [["--flagfile="], ["--flagfile"]])
def test_flagfile_without_a_name_is_refused(folders, arguments):
    with pytest.raises(ValueError, match="--flagfile has no file name"):
        texts(*arguments)


def test_circle_is_refused_with_its_files(folders):
    (folders["here"] / "a.flags").write_text("--flagfile=b.flags\n")
    (folders["here"] / "b.flags").write_text("--flagfile=a.flags\n")
    with pytest.raises(
        ValueError,
        match="circle: .*/a.flags includes .*/b.flags includes .*/a.flags",
    ):
        texts("--flagfile=a.flags")


def test_file_may_be_used_twice(folders):
    (folders["here"] / "a.flags").write_text("--seed=1\n")
    assert texts("--flagfile=a.flags", "--flagfile=a.flags") == [
        "--seed=1",
        "--seed=1",
    ]


@pytest.mark.parametrize("line", ["epochs=20", "--epochs 20", "20"])
def test_line_that_is_no_flag_is_refused_with_its_number(folders, line):
    (folders["here"] / "a.flags").write_text(f"# head\n{line}\n")
    with pytest.raises(ValueError, match="Line 2 of .*a.flags is no flag"):
        texts("--flagfile=a.flags")


def test_file_that_is_no_text_is_refused(folders):
    (folders["here"] / "a.flags").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="a.flags cannot be read as text"):
        texts("--flagfile=a.flags")


def parse(*arguments):
    values = absl_flags.FlagValues()
    flags.define(values)
    return flags.parse(["launch", *arguments], values)


def test_time_grows_with_the_lines_and_no_faster(tmp_path):
    file = tmp_path / "long.flags"

    def seconds(lines):
        text = "".join(f"--epochs={i + 1}\n# {i}\n" for i in range(lines))
        file.write_text(text)
        started = time.monotonic()
        assert parse(f"--flagfile={file}").epochs == lines
        return time.monotonic() - started

    few = seconds(5_000)
    # A square would take 64 times as long.
    assert seconds(40_000) < 24 * max(few, 0.05)


def test_a_value_may_stand_in_the_next_word(tmp_path):
    file = tmp_path / "long.flags"
    file.write_text("--epochs=2\n" * 2000)
    found = parse(f"--flagfile={file}", "--epochs", "7", "--seed", "3")
    assert (found.epochs, found.seed) == (7, 3)


def test_a_long_chain_is_refused_at_once(tmp_path):
    for i in range(1200):
        (tmp_path / f"{i}.flags").write_text(f"--flagfile={i + 1}.flags\n")
    (tmp_path / "1200.flags").write_text("--epochs=2\n")
    with pytest.raises(ValueError, match="More than 50 flagfiles .* in a row"):
        parse(f"--flagfile={tmp_path / '0.flags'}")
    assert parse(f"--flagfile={tmp_path / '1170.flags'}").epochs == 2


def test_files_that_double_with_every_level_are_refused_soon(tmp_path):
    for i in range(40):
        (tmp_path / f"{i}.flags").write_text(f"--flagfile={i + 1}.flags\n" * 2)
    (tmp_path / "40.flags").write_text("--epochs=2\n")
    started = time.monotonic()
    with pytest.raises(ValueError, match="more than 1000 are read"):
        parse(f"--flagfile={tmp_path / '0.flags'}")
    assert time.monotonic() - started < 10


def test_name_that_is_too_long_is_no_flagfile():
    with pytest.raises(ValueError, match="no flagfile 'aaa") as error:
        parse(f"--flagfile={'a' * 5000}")
    assert len(str(error.value)) < 3000


@pytest.mark.parametrize("stem", ["l" * 240, "é" * 120, "tab\tstop"])
def test_folder_named_after_a_flagfile_can_be_made(tmp_path, monkeypatch, stem):
    file = tmp_path / f"{stem}.flags"
    file.write_text("--epochs=2\n")
    monkeypatch.chdir(tmp_path)
    many = [f"--{name}=0.5" for name in ("momentum", "validation_fraction")]
    folder = pathlib.Path(parse(f"--flagfile={file}", *many).workdir)
    folder.mkdir(parents=True)
    assert folder.name.isprintable()
    other = parse(f"--flagfile={file}", *many, "--seed=3")
    assert other.workdir != str(folder)
