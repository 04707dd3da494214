"""Workers wait for each other, and not without end."""

import concurrent.futures
import contextlib
import os
import pathlib
import selectors
import socket
import subprocess
import sys
import threading
import time

import pytest
from builders import slow_but

from keras_graft.runs import rendezvous
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


def worker(addresses, index, token="secret"):
    return Cluster(addresses, index, has_chief=False, token=token)


def meet_together(*workers, seconds=20.0):
    """Every worker's error, or None for those that went on."""
    with concurrent.futures.ThreadPoolExecutor() as pool:
        futures = [pool.submit(meet, one, seconds) for one in workers]
        return [future.exception(timeout=60) for future in futures]


def listeners():
    """Local addresses that this process listens at, as `127.0.0.1:80`."""
    found = set()
    for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, _, state, *_ = line.split()
        host, port = local.split(":")
        if state == "0A":
            address = socket.inet_ntoa(bytes.fromhex(host)[::-1])
            found.add(f"{address}:{int(port, 16)}")
    return found


HELD = """
import ctypes, pathlib, sys
from keras_graft.runs.watchdog import ended_after
with ended_after(float(sys.argv[1]), "nobody came to the café for 1 s"):
    # Holds the interpreter, as TensorFlow does.
    ctypes.PyDLL(None).usleep(int(float(sys.argv[2]) * 1e6))
print("went on", flush=True)
"""


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


def test_stranger_keeps_nobody_out(addresses, capsys):
    host, _, port = addresses[0].rpartition(":")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        chief = pool.submit(meet, worker(addresses[:2], 0), 20.0)
        time.sleep(0.3)
        for said in (b"", b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 5000):
            with socket.create_connection((host, int(port))) as stranger:
                stranger.sendall(said)
        late = pool.submit(meet, worker(addresses[:2], 1), 20.0)
        chief.result(timeout=20)
        late.result(timeout=20)
    assert "Refused 127.0.0.1: it is no worker of this job" in (
        capsys.readouterr().out
    )


@contextlib.contextmanager
def dripping(connect):
    """Says one byte after the other for as long as somebody listens."""
    ended = threading.Event()

    def drip():
        with contextlib.suppress(OSError), connect() as connection:
            while not ended.wait(0.1):
                connection.sendall(b"k")

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_slow_strangers_hold_up_nobody(addresses):
    host, port = addresses[0].split(":")
    door = (host, int(port))
    with concurrent.futures.ThreadPoolExecutor() as pool:
        started = time.monotonic()
        chief = pool.submit(meet, worker(addresses[:2], 0), 1.5)
        time.sleep(0.3)
        with dripping(lambda: socket.create_connection(door)):
            error = chief.exception(timeout=20)
        assert "Worker 1" in str(error) and "within 2 s" in str(error)
        assert time.monotonic() - started < 4

        chief = pool.submit(meet, worker(addresses[:2], 0), 20.0)
        time.sleep(0.3)
        started = time.monotonic()
        with (
            dripping(lambda: socket.create_connection(door)),
            contextlib.ExitStack() as silent,
        ):
            for _ in range(100):
                silent.enter_context(socket.create_connection(door))
            late = pool.submit(meet, worker(addresses[:2], 1), 20.0)
            chief.result(timeout=20)
            late.result(timeout=20)
        # Before any of them was refused for being slow.
        assert time.monotonic() - started < 4


def test_chief_that_speaks_slowly_does_not_hold_a_worker(addresses):
    host, port = addresses[0].split(":")
    with socket.create_server((host, int(port))) as server:
        with dripping(lambda: server.accept()[0]):
            started = time.monotonic()
            with pytest.raises(RunError, match="Worker 0 .* did not come"):
                meet(worker(addresses[:2], 1), 1.5)
            assert time.monotonic() - started < 4


def overheard(front, back):
    """One talk between a worker and the chief, by who sits in between."""
    said = {front: b"", back: b""}
    with selectors.DefaultSelector() as selector:
        selector.register(front, selectors.EVENT_READ, back)
        selector.register(back, selectors.EVENT_READ, front)
        while True:
            for key, _ in selector.select(10):
                data = key.fileobj.recv(1000)
                if not data:
                    return said[front], said[back]
                said[key.fileobj] += data
                key.data.sendall(data)


def test_what_was_overheard_proves_nothing(addresses):
    host, port = addresses[0].split(":")
    with (
        concurrent.futures.ThreadPoolExecutor() as pool,
        socket.create_server((host, 0)) as between,
    ):
        chief = pool.submit(meet, worker(addresses[:2], 0), 20.0)
        # What a worker would say to that chief: the address is the chief's.
        honest = worker(addresses[:2], 1)
        time.sleep(0.3)
        with socket.create_connection(between.getsockname()) as mine:
            front, _ = between.accept()
            with front, socket.create_connection((host, int(port))) as back:
                talk = pool.submit(overheard, front, back)
                deadline = time.monotonic() + 20
                assert rendezvous._is_let_go(honest, mine, deadline)
                hello, chief_said = talk.result(timeout=20)
        chief.result(timeout=20)
        assert b"keras_graft worker 1 of 2" in hello

        chief = pool.submit(meet, worker(addresses[:2], 0), 1.5)
        time.sleep(0.3)
        with socket.create_connection((host, int(port))) as stranger:
            stranger.sendall(hello)
            with pytest.raises(RunError, match="Worker 1 .* did not come"):
                chief.result(timeout=20)

        # And so does what the chief said.
        with socket.create_server((host, int(port))) as impostor:
            late = pool.submit(meet, honest, 20.0)
            with impostor.accept()[0] as guest:
                question, go = chief_said.splitlines(keepends=True)
                guest.sendall(question)
                assert guest.recv(1000)
                guest.sendall(go)
                with pytest.raises(RunError, match="is not of its job"):
                    late.result(timeout=20)


@pytest.mark.parametrize(
    "theirs", slow_but(["Secret"], ["", "Secret", "secret "])
)
def test_worker_with_another_token_is_refused_at_once(addresses, theirs):
    started = time.monotonic()
    chief, other = meet_together(
        worker(addresses[:2], 0),
        worker(addresses[:2], 1, theirs),
        seconds=3.0,
    )
    assert "Worker 1" in str(chief) and "did not come" in str(chief)
    assert "KERAS_GRAFT_JOB_TOKEN is not the same" in str(other)
    assert isinstance(other, RunError)
    assert time.monotonic() - started < 10


def test_token_may_be_any_bytes(addresses):
    token = b"\xff\xfe secret".decode(errors="surrogateescape")
    assert meet_together(
        worker(addresses[:2], 0, token), worker(addresses[:2], 1, token)
    ) == [None, None]


def test_chief_that_does_not_know_the_token_lets_nobody_go(addresses):
    chief, other = meet_together(
        worker(addresses[:2], 0, "another"),
        worker(addresses[:2], 1),
        seconds=2.0,
    )
    assert isinstance(chief, RunError)
    assert isinstance(other, RunError)


def test_job_without_a_token_says_what_that_means(addresses, capsys):
    ends = meet_together(
        worker(addresses[:2], 0, ""), worker(addresses[:2], 1, "")
    )
    assert ends == [None, None]
    said = capsys.readouterr().out
    assert "KERAS_GRAFT_JOB_TOKEN is not set" in said
    assert addresses[0] in said


@pytest.mark.skipif(
    not pathlib.Path("/proc/net/tcp").exists(), reason="no /proc"
)
@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost"])
def test_worker_listens_at_its_own_address_only(addresses, host):
    port = addresses[0].rpartition(":")[2]
    ours = (f"{host}:{port}", addresses[1])
    with concurrent.futures.ThreadPoolExecutor() as pool:
        chief = pool.submit(meet, worker(ours, 0), 1.5)
        time.sleep(0.5)
        here = {a for a in listeners() if a.endswith(f":{port}")}
        assert isinstance(chief.exception(timeout=20), RunError)
    assert here == {f"{host.replace('localhost', '127.0.0.1')}:{port}"}


def test_address_of_another_host_is_named(addresses):
    with pytest.raises(RunError, match="192.0.2.7:1001.* cannot listen"):
        meet(worker(("192.0.2.7:1001", addresses[1]), 0), 1.0)


def test_unknown_host_ends_the_wait_in_a_sentence(addresses):
    ours = ("no-such-host.invalid:1001", addresses[1])
    with pytest.raises(RunError, match="within 1 s") as error:
        meet(worker(ours, 1), 1.0)
    assert "no-such-host.invalid:1001" in str(error.value)
    # Why, too: as the system says it.
    assert "s (" in str(error.value)
    with pytest.raises(RunError, match="cannot listen"):
        meet(worker(ours, 0), 1.0)


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


@pytest.mark.parametrize("limit, takes", [(1, 30), (30, 0.1)])
def test_process_that_holds_the_interpreter_ends_in_a_sentence(limit, takes):
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", HELD, str(limit), str(takes)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert time.monotonic() - started < 20
    if limit < takes:
        assert done.returncode == 1
        assert done.stderr == "Error: nobody came to the café for 1 s\n"
        assert done.stdout == ""
    else:
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == "went on\n"
