"""Files that are written at the end are looked at in the beginning."""

import pathlib
import subprocess
import sys

import pytest

from keras_graft.checks.output_files import check_output_file

ROOT = pathlib.Path(__file__).resolve().parents[2]


def test_file_that_cannot_be_written_is_refused(tmp_path):
    for path in (tmp_path, tmp_path / "none" / "x", ""):
        with pytest.raises(ValueError, match="^--plot=.* cannot be written"):
            check_output_file("plot", str(path))
    check_output_file("plot", str(tmp_path / "x"))
    check_output_file("plot", "x")
    check_output_file("plot", None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["launch", "diagnosis"])
def test_profile_that_cannot_be_written_is_refused_at_once(tmp_path, command):
    """absl would write it when all is done, and end with a traceback and 0."""
    flag = f"--profile_file={tmp_path}/none/x"
    done = subprocess.run(
        [sys.executable, "-m", f"keras_graft.{command}", flag],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert f"{flag} cannot be written: there is no folder" in done.stderr
    assert "Traceback" not in done.stderr
