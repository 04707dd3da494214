"""The notebook: runs from top to bottom, and was kept with its pictures."""

import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
NOTEBOOK = ROOT / "docs" / "guides" / "digits.ipynb"
PICTURES = 4


def cells():
    return json.loads(NOTEBOOK.read_text("utf-8"))["cells"]


@pytest.mark.slow
def test_cells_run_in_their_order(tmp_path):
    code = ["".join(c["source"]) for c in cells() if c["cell_type"] == "code"]
    # Agg shows nothing and keeps what is to be shown.
    ending = "print('pictures:', len(plt.get_fignums()))"
    done = subprocess.run(
        [sys.executable, "-"],
        input="\n\n".join([*code, ending]),
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert f"pictures: {PICTURES}\n" in done.stdout
    accuracy = re.search(r"^test accuracy: (\S+)$", done.stdout, re.MULTILINE)
    assert float(accuracy[1]) > 0.8


def test_it_is_kept_as_it_ran_whole():
    code = [cell for cell in cells() if cell["cell_type"] == "code"]
    counts = [cell["execution_count"] for cell in code]
    assert counts == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell["outputs"]]
    assert not [o for o in outputs if o["output_type"] == "error"]
    pictures = [o for o in outputs if "image/png" in o.get("data", {})]
    assert len(pictures) == PICTURES
    # Nothing of the machine that it ran on.
    assert not re.search(r"/(?:home|root|tmp|usr|work)/", NOTEBOOK.read_text())
