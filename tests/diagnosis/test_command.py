"""`python -m keras_graft.diagnosis`, run as a user runs it."""

import json
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def diagnosis(*arguments, cwd, code=None):
    start = ["-c", code] if code else ["-m", "keras_graft.diagnosis"]
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "KERAS_BACKEND": "jax",
    }
    return subprocess.run(
        [sys.executable, *start, *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_table_whose_reader_left_is_no_error(tmp_path):
    save_network(tmp_path / "a.keras", dead=3)
    command = f"{sys.executable} -m keras_graft.diagnosis a.keras --json=a.json"
    done = subprocess.run(
        ["bash", "-c", f"{command} | true; exit ${{PIPESTATUS[0]}}"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert (tmp_path / "a.json").exists()


def save_network(path, dead):
    path.parent.mkdir(exist_ok=True)
    layer = keras.layers.Conv2D(4, 3, name="conv")
    model = keras.Sequential([keras.Input((5, 5, 2)), layer], name="tiny")
    model.compile("sgd", "mse")
    kernel = np.ones((3, 3, 2, 4))
    kernel[..., :dead] = 0.0
    layer.kernel.assign(kernel)
    model.save(path)


def test_one_model_is_shown_written_and_drawn(tmp_path):
    save_network(tmp_path / "a.keras", dead=3)
    done = diagnosis(
        "a.keras",
        "--json=a.json",
        "--plot=a.png",
        "--thresholds=0.5,20",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "tiny: 4 filters in 1 convolution kernel" in done.stdout
    assert "l1<20  l1<0.5" in done.stdout
    values = json.loads((tmp_path / "a.json").read_text())
    assert values["totals"]["invalid"] == {"20": 4, "0.5": 3}
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_several_models_are_compared_under_their_short_names(tmp_path):
    save_network(tmp_path / "one" / "a.keras", dead=3)
    save_network(tmp_path / "two" / "a.keras", dead=0)
    done = diagnosis(
        "one/a.keras", "two/a.keras", "--json=both.json", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    _, one, two = done.stdout.splitlines()[:3]
    assert one.split()[:4] == [
        os.path.join("one", "a.keras"),
        "4",
        "3",
        "(75.0%)",
    ]
    assert two.split()[:4] == [
        os.path.join("two", "a.keras"),
        "4",
        "0",
        "(0.0%)",
    ]
    values = json.loads((tmp_path / "both.json").read_text())
    assert values["positions"][1]["l1_means"] == [0.0, 18.0]


REFUSE = """
import runpy
import sys
try:
    runpy.run_module("keras_graft.diagnosis", run_name="__main__", alter_sys=1)
except SystemExit as error:
    print(error.code, "tensorflow" in sys.modules, "keras" in sys.modules)
"""


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "Name at least one saved model"),
        (["gone.keras"], "There is no file gone.keras"),
        (["text.keras"], "text.keras is not a saved Keras model"),
        (["text.keras", "--thresholds=1,x"], "numbers with commas between"),
        (["text.keras", "--thresholds=nan"], "finite numbers above 0"),
    ],
    ids=["nothing", "missing", "not a model", "no number", "nan"],
)
def test_bad_request_is_refused_before_tensorflow(
    tmp_path, arguments, complaint
):
    (tmp_path / "text.keras").write_text("no model")
    done = diagnosis(*arguments, cwd=tmp_path, code=REFUSE)
    assert complaint in done.stdout
    assert done.stdout.rstrip().endswith("False False")


def test_message_goes_to_stderr_and_the_exit_code_is_1(tmp_path):
    done = diagnosis("gone.keras", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "Error: There is no file gone.keras" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("flag", "complaint"),
    [
        ("--plot=a.txt", "--plot must end with .pdf or .png or .svg"),
        ("--json=none/a.json", "there is no folder none"),
    ],
)
def test_output_that_cannot_be_written_is_refused_before_the_work(
    tmp_path, flag, complaint
):
    save_network(tmp_path / "a.keras", dead=0)
    done = diagnosis("a.keras", flag, cwd=tmp_path)
    assert done.returncode == 1
    assert complaint in done.stderr
    assert done.stdout == ""
