"""Two worker processes on loopback: the command, as a cluster starts it."""

import csv
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
from launching import start
from launching import wait_for

from keras_graft.checkpoint import files

ROOT = pathlib.Path(__file__).resolve().parents[2]
SMALL = (
    "--train_examples=160",
    "--num_networks=2",
    "--batch_size=32",
    "--epochs=2",
    "--schedule=constant",
    "--augment=standard",
    # Entropy is a histogram: a last bit that moves a weight over a bin's edge
    # would move the coefficient.
    "--graft_criterion=l1",
    # Sums in another order differ in a last bit, which sometimes turns a ReLU
    # on or off; at a rate of 0.1 ten steps make 1e-2 of that, by the seed.
    "--learning_rate=0.001",
)

# Imported by Python before anything else: notes what the process writes.
WATCH_WRITES = """
import os, sys

FOLDER, LOG = os.environ["WATCHED"], os.environ["WRITES"]
CHANGES = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def note(event, arguments):
    if event == "open":
        path, mode, flags = arguments
        writing = flags & WRITING or set(mode or "") & set("wax+")
    else:
        path, writing = (arguments or [None])[0], event in CHANGES
    if writing and isinstance(path, str | os.PathLike):
        if os.fspath(path).startswith(FOLDER):
            with os.fdopen(os.open(LOG, os.O_WRONLY | os.O_APPEND), "w") as log:
                log.write(f"{event} {path}\\n")


sys.addaudithook(note)
"""


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def configs():
    """A `TF_CONFIG` for each of two workers."""
    addresses = [f"127.0.0.1:{port}" for port in free_ports(2)]
    return [
        json.dumps(
            {
                "cluster": {"worker": addresses},
                "task": {"type": "worker", "index": index},
            }
        )
        for index in range(2)
    ]


def start_pair(*arguments, cwd):
    """Two workers; the second one notes what it writes into the run."""
    hook = cwd / "hook"
    hook.mkdir(exist_ok=True)
    (hook / "sitecustomize.py").write_text(WATCH_WRITES)
    (cwd / "writes.txt").touch()
    watched = {
        "PYTHONPATH": os.pathsep.join([str(hook), str(ROOT)]),
        "WATCHED": str(cwd / "run"),
        "WRITES": str(cwd / "writes.txt"),
    }
    return [
        start(
            *SMALL,
            *arguments,
            cwd=cwd,
            TF_CONFIG=config,
            **(watched if index else {}),
        )
        for index, config in enumerate(configs())
    ]


def ends(processes):
    """For each process: exit code, output, errors, seconds that it took."""
    started = time.monotonic()
    found = []
    for process in processes:
        output, errors = process.communicate(timeout=120)
        seconds = time.monotonic() - started
        found.append((process.returncode, output, errors, seconds))
    return found


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    """A run of two workers, one that loses a worker and goes on, one alone."""
    folder = tmp_path_factory.mktemp("workers")
    told = {}
    for name in ("whole", "broken", "alone"):
        (folder / name).mkdir()
    told["whole"] = ends(start_pair("--workdir=run", cwd=folder / "whole"))
    broken = folder / "broken"
    pair = start_pair("--workdir=run", cwd=broken)
    wait_for(broken / "run" / "checkpoints" / "epoch-000001", *pair)
    pair[1].send_signal(signal.SIGKILL)
    told["lost"] = ends(pair)
    told["left"] = sorted(p.name for p in (broken / "run").rglob("*"))
    told["resumed"] = ends(start_pair("--workdir=run", cwd=broken))
    told["alone"] = ends([start(*SMALL, "--workdir=run", cwd=folder / "alone")])
    return folder, told


def last_arrays(folder):
    found = files.newest_checkpoint(folder / "run" / "checkpoints", pytest.fail)
    assert found.epoch == 2
    return found.arrays


@pytest.mark.slow
def test_two_workers_end_as_one_process(story):
    folder, told = story
    for code, _, errors, _ in [*told["whole"], *told["alone"]]:
        assert code == 0, errors
    two, one = (last_arrays(folder / name) for name in ("whole", "alone"))
    assert two.keys() == one.keys()
    for name, array in one.items():
        # Velocities are sums of gradients, weights take a thousandth of them.
        atol = 2e-2 if name.startswith("optimizer") else 1e-4
        np.testing.assert_allclose(two[name], array, atol=atol, err_msg=name)
    histories = []
    for name in ("whole", "alone"):
        with open(folder / name / "run" / "history.csv", newline="") as file:
            histories.append(list(csv.DictReader(file)))
    for two, one in zip(*histories, strict=True):
        assert two.keys() == one.keys()
        for log in one:
            np.testing.assert_allclose(
                float(two[log]), float(one[log]), atol=1e-4, err_msg=log
            )


@pytest.mark.slow
def test_only_the_chief_writes_and_speaks(story):
    folder, told = story
    (_, chief, _, _), (_, other, _, _) = told["whole"]
    assert "2 workers with CPU each, 2 replicas in sync" in chief
    assert "Shipped: network_" in chief
    assert other.startswith("Flagfile") and other.count("\n") == 1
    for name in ("whole", "broken"):
        assert (folder / name / "writes.txt").read_text() == ""
    assert (folder / "whole" / "run" / "shipped.keras").exists()
    events = list((folder / "whole" / "run").rglob("events.out.tfevents.*"))
    assert len(events) == len({event.parent for event in events})


@pytest.mark.slow
def test_lost_worker_ends_the_job_soon_and_by_name(story):
    folder, told = story
    (code, _, errors, seconds), (killed, *_) = told["lost"]
    assert (code, killed) == (1, -signal.SIGKILL)
    assert re.search(r"Worker 1 \(127.0.0.1:\d+\) is lost", errors)
    assert f"is verified: {folder / 'broken' / 'run' / 'checkpoints'}" in errors
    assert re.search(r"The same command (repeats epoch 2|ends the run)", errors)
    assert "Traceback" not in errors
    # TensorFlow misses the heartbeats of a process after ten seconds.
    assert seconds < 40
    assert not [name for name in told["left"] if name.startswith(".")]


@pytest.mark.slow
def test_same_command_resumes_to_the_same_bits(story):
    folder, told = story
    for code, _, errors, _ in told["resumed"]:
        assert code == 0, errors
    assert "Resumed after epoch" in told["resumed"][0][1]
    whole, resumed = (
        last_arrays(folder / name) for name in ("whole", "broken")
    )
    assert whole.keys() == resumed.keys()
    for name, array in whole.items():
        np.testing.assert_array_equal(resumed[name], array, err_msg=name)


@pytest.fixture(scope="module")
def told(story, tmp_path_factory):
    """What two workers of a script of its own tell of themselves."""
    folder = tmp_path_factory.mktemp("script")
    # A checkpoint that worker 1 does not see.
    there = folder / "0" / "epoch-000001"
    there.parent.mkdir()
    whole = story[0] / "whole" / "run" / "checkpoints" / there.name
    shutil.copytree(whole, there)
    processes = [
        subprocess.Popen(
            [
                sys.executable,
                ROOT / "tests/distribution/two_workers.py",
                str(index),
            ],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]),
                "TF_CONFIG": config,
                # Without it the chief warns among what the script tells.
                "KERAS_GRAFT_JOB_TOKEN": "known to this job alone",
            },
        )
        for index, config in enumerate(configs())
    ]
    found = ends(processes)
    for code, _, errors, _ in found:
        assert code == 0, errors
    return [json.loads(output) for _, output, _, _ in found]


@pytest.mark.slow
def test_signal_is_heard_after_tensorflow_has_taken_its_handler(told):
    assert [each["signal"] for each in told] == [143, 143]


@pytest.mark.slow
def test_workers_that_differ_are_named(told):
    for each in told:
        assert each["differ"] == ["other: worker 1 and worker 0"]


@pytest.mark.slow
def test_checkpoint_that_not_all_see_is_refused(told):
    for each in told:
        assert "The workers find different checkpoints" in each["restore"]


@pytest.mark.slow
def test_weight_that_differs_in_a_bit_is_not_saved(told):
    for each in told:
        assert "network_1/0000/kernel: worker 1 and worker 0" in each["fit"]
        assert each["saved"] == []


@pytest.mark.slow
def test_network_masked_on_one_worker_is_masked_on_all(told):
    for each in told:
        assert each["status"] == ["live", "masked"]
