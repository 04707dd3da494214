"""A run that is killed ends with the bits of one that is not."""

import json
import os
import pathlib
import signal
import subprocess
import sys

import numpy as np
import pytest

SCRIPT = pathlib.Path(__file__).parent / "killed_run.py"
ROOT = pathlib.Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.slow


def run(folder, *when):
    return subprocess.run(
        [sys.executable, SCRIPT, folder, *when],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=240,
    )


def drawn(folder):
    lines = (folder / "drawn.txt").read_text().split("\n")
    return [line for line in lines if line]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """An uninterrupted run, and one that is killed wherever it hurts."""
    folder = tmp_path_factory.mktemp("runs")
    done = run(folder / "whole")
    assert done.returncode == 0, done.stderr
    left = {}
    for when in ("batch", "graft", "save", "publish"):
        killed = run(folder / "killed", when)
        assert killed.returncode == -signal.SIGKILL, (when, killed.stderr)
        checkpoints = folder / "killed" / "checkpoints"
        left[when] = sorted(path.name for path in checkpoints.iterdir())
    done = run(folder / "killed")
    assert done.returncode == 0, done.stderr
    return folder / "whole", folder / "killed", left


def test_kills_hit_where_they_should(runs):
    _, _, left = runs
    kinds = {
        when: [name.rpartition(".")[2] for name in names if name[0] == "."]
        for when, names in left.items()
    }
    assert kinds == {
        "batch": [],
        "graft": [],
        "save": ["tmp"],
        "publish": ["tmp"],
    }
    complete = {
        when: [name for name in names if name[0] != "."]
        for when, names in left.items()
    }
    assert complete["batch"][-1:] <= ["epoch-000002"]
    assert len(complete["publish"]) == 2


@pytest.mark.parametrize(
    "file",
    [
        "end.npz",
        "checkpoints/epoch-000004/arrays.npz",
        "checkpoints/epoch-000005/arrays.npz",
    ],
)
def test_killed_run_ends_with_the_same_bits(runs, file):
    whole, killed, _ = runs
    with np.load(whole / file) as left, np.load(killed / file) as right:
        assert left.files == right.files
        for kind in ("kernel", "variance", "momentum", "iteration", "state"):
            assert any(name.endswith(f"/{kind}") for name in left.files)
        for name in left.files:
            np.testing.assert_array_equal(left[name], right[name], name)


def test_killed_run_has_the_same_history(runs):
    whole, killed, _ = runs
    left, right = (
        json.loads((folder / "history.json").read_text())
        for folder in (whole, killed)
    )
    assert left == right
    # Early stopping counted on from where it was.
    assert left["epoch"] == [0, 1, 2, 3, 4]


def test_killed_run_draws_the_same_samples(runs):
    whole, killed, _ = runs
    expected = dict(line.split() for line in drawn(whole))
    found = [line.split() for line in drawn(killed)]
    # Prefetching runs ahead, by more or less.
    compared = [(i, c) for i, c in found if i in expected]
    assert len({i for i, _ in compared}) >= 6
    assert all(expected[i] == checksum for i, checksum in compared)


def test_nothing_is_left_behind(runs):
    for folder in runs[:2]:
        names = [path.name for path in (folder / "checkpoints").iterdir()]
        assert len(names) == 2
        assert all(not name.startswith(".") for name in names)
