"""The command with bad flags, and with questions, run as a user runs it."""

import os
import pathlib
import re
import subprocess
import sys
import time

import pytest

from keras_graft import flags

ROOT = pathlib.Path(__file__).resolve().parents[2]


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
    code, modules, output, _ = launch(tmp_path, "--help")
    assert code == 0
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
