"""`TF_CONFIG`: what is taken from it and what is refused."""

import json
import os
import pathlib
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

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
        *[
            (environ({"worker": [address]}), "is no host:port")
            for address in (
                "ho st:1",
                " host:1",
                "host :1",
                "host: 1",
                "host:1 ",
                "host:\uff11",
                "host:1\n",
                "ho\x1b[31mst:1",
                "http://host:1",
                "-host:1",
                "::1:1",
                "[host]:1",
                "[::1:1",
                "host:+1",
                "host:99999",
                "a" * 300 + ":1",
                ["a:1"],
                None,
                7,
            )
        ],
        (environ(["worker"]), "names no workers"),
        (environ({"worker": {"0": "a:1"}}), "`worker` is no list"),
        (environ({"worker": WORKERS}, kind=["worker"]), r"type \['worker'\]"),
        (environ({"worker": WORKERS}, index=[0]), r"index \[0\]"),
        (environ({"worker": WORKERS}, index=True), "index True"),
        (
            {
                "TF_CONFIG": json.dumps(
                    {"cluster": {"worker": WORKERS}} | {"task": ["worker", 0]}
                )
            },
            "lacks the `task`",
        ),
        ({"TF_CONFIG": "[" * 100_000}, "nested too deeply|no JSON"),
        ({"TF_CONFIG": '{"a": ' * 50_000}, "nested too deeply|no JSON"),
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
    assert len(str(error.value)) < 3000
    assert str(error.value).isprintable()


@pytest.mark.parametrize(
    "address", ["h:1", "10.0.0.7:65535", "[::1]:80", "a_b.c-d.example.:5"]
)
def test_address_is_taken_as_it_is(address):
    found = cluster_of("multiworker", environ({"worker": [address]}))
    assert found.address == address


def test_token_comes_from_the_environment_and_is_not_shown():
    values = environ({"worker": WORKERS})
    found = cluster_of("auto", {**values, "KERAS_GRAFT_JOB_TOKEN": "s3cret"})
    assert found.token == "s3cret"
    assert "s3cret" not in repr(found)
    assert cluster_of("auto", values).token == ""


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


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 3)
    | st.floats()
    | st.text(max_size=4)
    | st.sampled_from(["worker", "chief", "a:1", "b:2", "c:3"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["cluster", "task", "worker", "chief", "type", "index", "x"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=400, deadline=None)
@given(st.text(max_size=20) | JSON.map(json.dumps))
def test_any_tf_config_is_understood_or_refused_in_words(text):
    for strategy in ("auto", "multiworker"):
        try:
            found = cluster_of(strategy, {"TF_CONFIG": text})
        except RunError as error:
            assert str(error).strip()
        else:
            assert found is None or 0 <= found.index < found.size
