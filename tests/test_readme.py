"""README's twenty lines: they run as they are written, and ship a model."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]


def python(folder, *arguments):
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=600,
    )


def first_python_block(text):
    return re.search(r"^```python\n(.*?)^```$", text, re.DOTALL | re.M)[1]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("readme")
    code = first_python_block((ROOT / "README.md").read_text("utf-8"))
    (folder / "twenty_lines.py").write_text(code, encoding="utf-8")
    done = python(folder, "twenty_lines.py")
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


@pytest.mark.slow
def test_twenty_lines_learn_the_digits(finished):
    _, output = finished
    accuracy = float(re.search(r"test accuracy: (\S+)$", output, re.M)[1])
    # 0.9915 was seen; one digit of ten is guessed.
    assert accuracy > 0.9


@pytest.mark.slow
def test_what_they_ship_needs_nothing_of_this_package(finished):
    folder, _ = finished
    done = python(
        folder,
        "-c",
        "import sys, numpy, keras\n"
        "model = keras.models.load_model('shipped.keras')\n"
        "print(model.predict(numpy.zeros((3, 8, 8, 1)), verbose=0).shape)\n"
        "print('keras_graft' in sys.modules)",
    )
    assert done.stdout.splitlines() == ["(3, 10)", "False"], done.stderr
