"""oneDNN: each case in a process of its own, since imports read it once."""

import os
import pathlib
import platform
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
VARIABLE = "TF_ENABLE_ONEDNN_OPTS"

IMPORT = """
import os
from keras_graft.runs.strategy import import_tensorflow_quietly
import_tensorflow_quietly()
from tensorflow.python.util._pywrap_util_port import IsMklEnabled
print(os.environ["TF_ENABLE_ONEDNN_OPTS"], IsMklEnabled())
"""


@pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"),
    reason="TensorFlow's builds differ on other processors.",
)
@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "1 True"),
        pytest.param({VARIABLE: "0"}, "0 False", marks=pytest.mark.slow),
    ],
)
def test_onednn_is_on_unless_the_environment_says_otherwise(
    environment, expected
):
    without = {k: v for k, v in os.environ.items() if k != VARIABLE}
    done = subprocess.run(
        [sys.executable, "-c", IMPORT],
        capture_output=True,
        text=True,
        timeout=300,
        env={**without, "PYTHONPATH": str(ROOT), **environment},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == expected
