"""`keras-graft`: the commands with an example each, and their help."""

import os
import pathlib
import re
import shlex
import subprocess
import sys

import pytest

from keras_graft import __main__ as command_list
from keras_graft import flags
from keras_graft.version import __version__

ROOT = pathlib.Path(__file__).resolve().parents[1]
COMMANDS = [name for name, *_ in command_list._COMMANDS]


def ask(monkeypatch, capsys, *arguments, program="/usr/bin/keras-graft"):
    monkeypatch.setattr(sys, "argv", [program, *arguments])
    code = command_list.main()
    return code, *capsys.readouterr()


def python(*arguments):
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)])
def test_the_list_begins_with_own_images(monkeypatch, capsys, arguments):
    code, output, _ = ask(monkeypatch, capsys, *arguments)
    assert code == 0
    first = re.search(r"^ +(keras-graft .*)$", output, re.MULTILINE)[1]
    assert first == "keras-graft launch --dataset=folder:PATH"
    assert {"launch", "compare", "diagnosis"} <= set(COMMANDS)
    for name in COMMANDS:
        assert re.search(rf"^ +keras-graft {name} \S", output, re.MULTILINE)


def test_examples_are_command_lines_that_are_taken(monkeypatch, capsys):
    _, output, _ = ask(monkeypatch, capsys)
    values = flags.FlagValues()
    flags.define(values)
    lines = re.findall(r"^ +keras-graft launch (.*)$", output, re.MULTILINE)
    assert len(lines) == 2
    for line in lines:
        found = flags.parse(["launch", *shlex.split(line)], values)
        assert found.dataset.startswith("folder:")


def test_version(monkeypatch, capsys):
    code, output, _ = ask(monkeypatch, capsys, "--version")
    assert (code, output) == (0, f"keras_graft {__version__}\n")


def test_an_unknown_command_is_named_with_the_known_ones(monkeypatch, capsys):
    code, _, error = ask(monkeypatch, capsys, "lunch")
    assert code == 1
    assert "'lunch' is no command. Known: launch" in error


def test_as_a_module_it_imports_nothing_heavy():
    done = python("-X", "importtime", "-m", "keras_graft")
    assert done.returncode == 0
    assert "    python -m keras_graft launch --dataset" in done.stdout
    heavy = ("numpy", "keras", "tensorflow", "absl", "msgspec")
    loaded = re.findall(r"\| +([\w.]+)$", done.stderr, re.MULTILINE)
    assert "keras_graft.version" in loaded
    assert not set(heavy) & set(loaded)


def test_a_command_is_run_with_its_flags_and_exit_code(tmp_path):
    done = python(
        "-m", "keras_graft", "launch", "--epochs=2", "--only_check_args"
    )
    assert (done.returncode, done.stderr) == (0, "")
    done = python("-m", "keras_graft", "launch", "--epohcs=2")
    assert done.returncode == 1
    assert "Unknown command line flag 'epohcs'" in done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_ends_well(name):
    done = python("-m", "keras_graft", name, "--help")
    assert done.returncode == 0
    assert f"python -m keras_graft.{name}" in done.stdout


def test_help_of_launch_begins_with_own_images():
    done = python("-m", "keras_graft.launch", "--help")
    examples = re.findall(r"^ +(python -m .*)$", done.stdout, re.MULTILINE)
    assert examples[0].endswith("--dataset=folder:PATH")


def test_a_bad_flag_of_diagnosis_is_refused_in_one_line():
    done = python("-m", "keras_graft.diagnosis", "--polt=x.png")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "'polt'" in done.stderr
