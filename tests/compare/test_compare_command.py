"""The command, as a user types it."""

import os
import pathlib
import subprocess
import sys

import pytest

# Fails if TensorFlow is imported before the command line is refused.
BLOCKED = """
import runpy, sys
sys.modules["tensorflow"] = None
sys.modules["keras"] = None
runpy.run_module("keras_graft.compare", run_name="__main__")
"""


def compare(*arguments, cwd):
    return subprocess.run(
        [sys.executable, "-c", BLOCKED, *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(pathlib.Path.cwd())},
    )


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--arms=single,nonsense",), "no arm 'nonsense'"),
        (("--teacher_model=resnet9",), "Unknown model 'resnet9'"),
        (("--tune_learning_rates=0.1,x",), "--tune_learning_rates=0.1,x must"),
        (("--tune_learning_rates=0.1,nan",), "learning_rate"),
        (("--num_networks=1",), "compare N networks with one"),
        (("--num_seeds=0",), "num_seeds"),
        (("--hours=0",), "hours"),
        (("--hours=nan",), "hours"),
        (("--hours=1", "--arms=swa"), "give two arms at least"),
        (("--hours=1", "--validation_fraction=0"), "nothing to choose by"),
        (
            ("--hours=1", "--schedule_epochs=50"),
            "the epochs are still to be chosen",
        ),
    ],
)
def test_bad_command_is_refused_before_tensorflow(
    tmp_path, arguments, complaint
):
    done = compare(*arguments, cwd=tmp_path)
    assert done.returncode == 1
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
