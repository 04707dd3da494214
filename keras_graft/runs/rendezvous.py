"""All workers of a job are there before TensorFlow waits for them.

TensorFlow's own wait holds the interpreter for as long as a worker is
missing: no signal is heard and nobody is told who is missing. So the workers
meet here first, at the addresses where TensorFlow will listen afterwards.
"""

import contextlib
import socket
import time
from collections.abc import Iterator

from keras_graft.runs.cluster import Cluster
from keras_graft.runs.exit_codes import RunError

_HELLO = "keras_graft worker"
_GO = b"go"
# How long one look at the network takes, in seconds: signals wait as long.
_LOOK = 0.5


def meet(cluster: Cluster, seconds: float) -> None:
    """Returns when every worker of the cluster has called this.

    Args:
        cluster: The workers.
        seconds: How long to wait for the last of them.

    Raises:
        RunError: If one does not come, or this process cannot listen at its
            address.
    """
    deadline = time.monotonic() + seconds
    with _listening(cluster) as server:
        if cluster.is_chief:
            _welcome(cluster, server, deadline, seconds)
        else:
            _report(cluster, deadline, seconds)


@contextlib.contextmanager
def _listening(cluster: Cluster) -> Iterator[socket.socket]:
    port = int(cluster.address.rpartition(":")[2])
    try:
        server = socket.create_server(("", port), backlog=cluster.size)
    except OSError as error:
        raise RunError(
            f"Worker {cluster.named([cluster.index])} cannot listen at its "
            f"port: {error}. Give a free port in TF_CONFIG, and see that no "
            "worker of an earlier job is left on this host."
        ) from error
    with server:
        server.settimeout(_LOOK)
        yield server


def _welcome(cluster, server, deadline, seconds):
    """The chief: lets the others go when all of them are here."""
    guests: dict[int, socket.socket] = {}
    with contextlib.ExitStack() as opened:
        while len(guests) < cluster.size - 1:
            if time.monotonic() > deadline:
                raise _missing(
                    cluster,
                    sorted(set(range(1, cluster.size)) - guests.keys()),
                    seconds,
                )
            with contextlib.suppress(OSError):
                guest, _ = server.accept()
                opened.enter_context(guest)
                guest.settimeout(_LOOK)
                index = _index(guest.recv(100), cluster)
                if index is not None:
                    guests[index] = guest
        for guest in guests.values():
            # One that died meanwhile is noticed by TensorFlow.
            with contextlib.suppress(OSError):
                guest.sendall(_GO)


def _report(cluster, deadline, seconds):
    """Any other worker: tells the chief that it is here, until it may go."""
    host, _, port = cluster.addresses[0].rpartition(":")
    # An IPv6 address stands in brackets.
    chief = (host.strip("[]"), int(port))
    hello = f"{_HELLO} {cluster.index} of {cluster.size}".encode()
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            with socket.create_connection(chief, _LOOK) as connection:
                connection.sendall(hello)
                if _answer(connection, deadline) == _GO:
                    return
        time.sleep(_LOOK)
    raise _missing(cluster, [0], seconds)


def _answer(connection, deadline):
    """What the chief says, or nothing if it leaves or time is up."""
    while time.monotonic() < deadline:
        with contextlib.suppress(TimeoutError):
            return connection.recv(len(_GO))
    return b""


def _index(hello, cluster):
    """The worker that says hello, or None for a stranger."""
    words = hello.decode(errors="replace").removeprefix(_HELLO).split()
    known = {
        (str(i), "of", str(cluster.size)): i for i in range(1, cluster.size)
    }
    return known.get(tuple(words))


def _missing(cluster, indices, seconds):
    return RunError(
        f"Worker {cluster.named(indices)} did not come within {seconds:.0f} "
        f"s, so that worker {cluster.named([cluster.index])} ends too. Start "
        "the same command on every host of TF_CONFIG, and let the hosts "
        "reach each other at these addresses."
    )
