"""`TF_CONFIG`: what is taken from it and what is refused."""

import json
import os
import pathlib
import subprocess
import sys
import time

import pytest

from keras_graft.runs.cluster import cluster_of
from keras_graft.runs.exit_codes import RunError

ROOT = pathlib.Path(__file__).resolve().parents[2]
WORKERS = ["one:1001", "two:1002"]


def environ(cluster, kind="worker", index=0):
    task = {"type": kind, "index": index}
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": task})}


def test_position_counts_the_chief_first():
    found = cluster_of("auto", environ({"worker": WORKERS}, index=1))
    assert (found.addresses, found.index) == (tuple(WORKERS), 1)
    assert not found.is_chief
    jobs = {"chief": ["zero:1000"], "worker": WORKERS}
    chief = cluster_of("multiworker", environ(jobs, "chief"))
    worker = cluster_of("multiworker", environ(jobs))
    assert (chief.index, chief.is_chief, chief.size) == (0, True, 3)
    assert (worker.index, worker.is_chief) == (1, False)
    assert worker.named([0, 1]) == "0 (zero:1000), 1 (one:1001)"


@pytest.mark.parametrize(
    "strategy, values",
    [
        ("auto", {}),
        ("auto", {"TF_CONFIG": '{"environment": "cloud"}'}),
        ("none", {"TF_CONFIG": "no JSON"}),
        ("mirrored", environ({"worker": WORKERS})),
    ],
)
def test_one_process_without_a_cluster(strategy, values):
    assert cluster_of(strategy, values) is None


@pytest.mark.parametrize(
    "values, message",
    [
        ({}, "needs the environment variable TF_CONFIG"),
        ({"TF_CONFIG": "{"}, "it is no JSON"),
        ({"TF_CONFIG": "[]"}, "no JSON object"),
        ({"TF_CONFIG": "{}"}, "names no workers"),
        (environ({"worker": WORKERS, "ps": ["a:1"]}), "of the kind ps"),
        (environ({"worker": "one:1001"}), "`worker` is no list"),
        (environ({"worker": []}), "`worker` is no list"),
        (environ({"worker": ["one"]}), "'one' in `worker` is no host:port"),
        (environ({"worker": ["one:0"]}), "is no host:port"),
        (environ({"worker": ["one:1", "one:1"]}), "one:1 is named twice"),
        (
            environ({"chief": ["a:1", "b:1"], "worker": WORKERS}, "chief"),
            "it has 2 chiefs",
        ),
        (environ({"worker": WORKERS}, "chief"), "of the type 'chief'"),
        (environ({"worker": WORKERS}, index=2), "the index 2, and `worker`"),
        (environ({"worker": WORKERS}, index="0"), "the index '0'"),
        (
            {"TF_CONFIG": json.dumps({"cluster": {"worker": WORKERS}})},
            "lacks the `task`",
        ),
    ],
)
def test_what_cannot_be_used_is_refused_with_an_example(values, message):
    with pytest.raises(RunError, match=message) as error:
        cluster_of("multiworker", values)
    assert '"task": {"type": "worker", "index": 0}' in str(error.value)


def test_command_refuses_it_before_tensorflow_is_imported(tmp_path):
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "keras_graft.launch"],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            **environ({"worker": WORKERS}, index=5),
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "the index 5, and `worker` has 2 entries" in done.stderr
    assert list(tmp_path.iterdir()) == []
    # TensorFlow alone takes longer than this to import.
    assert time.monotonic() - started < 2.5
