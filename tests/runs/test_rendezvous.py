"""Workers wait for each other, and not without end."""

import concurrent.futures
import os
import pathlib
import socket
import subprocess
import sys
import time

import pytest

from keras_graft.runs.cluster import Cluster
from keras_graft.runs.exit_codes import RunError
from keras_graft.runs.rendezvous import meet
from keras_graft.runs.watchdog import Watchdog

ROOT = pathlib.Path(__file__).resolve().parents[2]

HANGS = """
import time
from keras_graft.runs.watchdog import Watchdog
with Watchdog(0.3, lambda: "nobody came") as watchdog:
    for _ in range(5):
        time.sleep(0.1)
        watchdog.touch()
    print("touched", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def addresses():
    with socket.socket() as one, socket.socket() as two, socket.socket() as z:
        sockets = (one, two, z)
        for free in sockets:
            free.bind(("127.0.0.1", 0))
        ports = [free.getsockname()[1] for free in sockets]
    return tuple(f"127.0.0.1:{port}" for port in ports)


def worker(addresses, index):
    return Cluster(addresses, index, has_chief=False)


def test_all_go_on_when_the_last_one_comes(addresses):
    with concurrent.futures.ThreadPoolExecutor() as pool:
        early = [pool.submit(meet, worker(addresses, i), 20.0) for i in (1, 0)]
        time.sleep(0.6)
        assert not any(future.done() for future in early)
        late = pool.submit(meet, worker(addresses, 2), 20.0)
        for future in [*early, late]:
            future.result(timeout=20)


def test_stranger_at_the_port_is_no_worker(addresses):
    host, _, port = addresses[0].rpartition(":")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        chief = pool.submit(meet, worker(addresses[:2], 0), 1.5)
        time.sleep(0.3)
        with socket.create_connection((host, int(port))) as stranger:
            stranger.sendall(b"keras_graft worker 1 of 7")
            with pytest.raises(RunError, match="Worker 1 .* did not come"):
                chief.result(timeout=20)


@pytest.mark.parametrize("here, missing", [(0, "1"), (1, "0")])
def test_missing_worker_is_named_when_time_is_up(addresses, here, missing):
    started = time.monotonic()
    with pytest.raises(RunError, match=f"Worker {missing} .* within 1 s"):
        meet(worker(addresses[:2], here), 1.0)
    assert time.monotonic() - started < 5


def test_port_that_is_taken_is_named(addresses):
    port = int(addresses[1].rpartition(":")[2])
    with socket.create_server(("", port)):
        with pytest.raises(RunError, match=f"{port}.* cannot listen"):
            meet(worker(addresses, 1), 1.0)


def test_watchdog_ends_a_process_that_hangs():
    done = subprocess.run(
        [sys.executable, "-c", HANGS],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.returncode, done.stdout) == (1, "touched\n")
    assert done.stderr == "Error: nobody came\n"


def test_watchdog_lets_go_of_what_ends_in_time():
    with Watchdog(0.2, lambda: pytest.fail("it was awake")):
        pass
    time.sleep(0.5)
