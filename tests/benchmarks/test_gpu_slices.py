"""The slices for a GPU: their command lines, their limit, what is kept."""

import json
import pathlib
import subprocess
import sys
import time

import kernels
import pytest
import steps
import throughput
from measuring.workload import Workload

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / "benchmarks" / "gpu"
sys.path.append(str(FOLDER))
import slices  # noqa: E402
import table  # noqa: E402

PARSERS = {
    "benchmarks/steps.py": steps.parse_options,
    "benchmarks/kernels.py": kernels.parse_options,
    "benchmarks/throughput.py": throughput.parse_options,
}


@pytest.mark.parametrize("small", [False, True])
@pytest.mark.parametrize("name", table.slices())
def test_command_line_of_each_slice_is_understood(tmp_path, name, small):
    from measuring.keras_side import launch_settings

    path = tmp_path / "found.json"
    words = slices.command(table.slices()[name], path, small, "bfloat16")
    assert words[0] == sys.executable
    if name == "tests":
        assert all((ROOT / w).exists() for w in words if w.startswith("tests/"))
        assert words[-1] == f"--outcomes={path}"
        return
    options = PARSERS[words[1]](words[2:])
    assert options.json == str(path)
    assert options.image_size == (224 if "50" in name and not small else 32)
    for text, of in getattr(options, "of", {}).items():
        if of.kind != "pytorch":
            workload = Workload(options.networks, options.model, flags=of.flags)
            settings = launch_settings(workload, str(tmp_path))
            assert settings.jit == ("--jit" in text)


def lives(stat):
    """Whether a process is there, and not only not waited for yet."""
    try:
        return stat.read_text().split()[2] not in "ZX"
    except OSError:
        return False


def test_slice_that_takes_too_long_leaves_what_it_measured(tmp_path):
    path = tmp_path / "found.json"
    program = (
        "import pathlib, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'input()'],"
        " stdin=subprocess.PIPE)\n"
        f"pathlib.Path({str(path)!r}).write_text(str(child.pid))\n"
        "print('measured', flush=True)\n"
        "time.sleep(600)\n"
    )
    words = [sys.executable, "-c", program]
    assert slices.run("slow", words, tmp_path, {}, 3) == slices.STOPPED
    assert (tmp_path / "slow.txt").read_text() == "measured\n"
    child = pathlib.Path("/proc", path.read_text(), "stat")
    until = time.monotonic() + 30
    while lives(child) and time.monotonic() < until:
        time.sleep(0.05)
    assert not lives(child)


@pytest.mark.slow
def test_small_slice_runs_to_its_end(tmp_path):
    done = subprocess.run(
        [
            *(sys.executable, FOLDER / "slices.py", "--small"),
            *(f"--folder={tmp_path}", "trial_resident_images"),
        ],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout
    found = json.loads((tmp_path / "trial_resident_images.json").read_text())
    sides = [row["side"] for row in found["sides"]]
    assert sides == ["trainer --jit", "resident --jit"]
    for row in found["sides"]:
        assert row["first_step_seconds"] > max(row["seconds"]) > 0
    assert (tmp_path / "trial_resident_images.txt").read_text() in done.stdout


def test_slices_are_listed_and_unknown_ones_refused():
    command = [sys.executable, FOLDER / "slices.py"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert all(name in done.stdout for name in table.slices())
    done = subprocess.run(
        [*command, "warp"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert "No slice is called warp" in done.stderr


def test_outcomes_of_tests_are_kept_one_by_one(tmp_path):
    (tmp_path / "test_it.py").write_text(
        "import os, pytest\n"
        "def test_right(): pass\n"
        "def test_wrong(): assert 1 == 2\n"
        "def test_absent(): pytest.skip('no card')\n"
        "def test_killed(): os._exit(9)\n"
    )
    path = tmp_path / "tests.json"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-p", "measuring.outcomes"),
            *("-c", "/dev/null", f"--rootdir={tmp_path}"),
            *(f"--outcomes={path}", str(tmp_path)),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        env={"PYTHONPATH": str(ROOT / "benchmarks")},
    )
    assert done.returncode == 9, done.stdout
    tests = json.loads(path.read_text())["tests"]
    assert [(t["test"][-6:], t["outcome"]) for t in tests] == [
        ("_right", "passed"),
        ("_wrong", "failed"),
        ("absent", "skipped"),
    ]
    assert "1 == 2" in tests[1]["error"]
