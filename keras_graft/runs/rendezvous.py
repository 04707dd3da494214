"""All workers of a job are there before TensorFlow waits for them.

TensorFlow's own wait holds the interpreter for as long as a worker is
missing: no signal is heard and nobody is told who is missing. So the workers
meet here first, at the addresses where TensorFlow will listen afterwards.

A worker proves that it is of this job by the token that all of them have in
their environment; the token itself does not travel. TensorFlow's own
connections, which follow, know nothing of the kind.
"""

import contextlib
import hmac
import ipaddress
import socket
import time
from collections.abc import Iterator

from keras_graft.runs.cluster import TOKEN
from keras_graft.runs.cluster import Cluster
from keras_graft.runs.exit_codes import RunError

_HELLO = "keras_graft worker"
_GO = "go"
_NO = "no"
# How long one look at the network takes, in seconds: signals wait as long.
_LOOK = 0.5
_LINE_BYTES = 300


def meet(cluster: Cluster, seconds: float) -> None:
    """Returns when every worker of the cluster has called this.

    Args:
        cluster: The workers.
        seconds: How long to wait for the last of them.

    Raises:
        RunError: If one does not come, this process cannot listen at its
            address, or it has another token than the chief.
    """
    deadline = time.monotonic() + seconds
    with _listening(cluster) as server:
        if cluster.is_chief:
            if not cluster.token:
                print(
                    f"{TOKEN} is not set: who reaches {cluster.address} before "
                    "the workers do can pass as one of them. Set it to the "
                    "same secret text on every host; launch/slurm.sh does."
                )
            _welcome(cluster, server, deadline, seconds)
        else:
            _report(cluster, deadline, seconds)


@contextlib.contextmanager
def _listening(cluster: Cluster) -> Iterator[socket.socket]:
    try:
        server = _server(cluster)
    except (OSError, UnicodeError) as error:
        raise RunError(
            f"Worker {cluster.named([cluster.index])} cannot listen at its "
            f"address: {error}. Give an address of this host with a free port "
            "in TF_CONFIG, and see that no worker of an earlier job is left "
            "on this host."
        ) from error
    with server:
        server.settimeout(_LOOK)
        yield server


def _server(cluster):
    """Listens at this worker's own address, and at no other one."""
    host, port = _split(cluster.address)
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    others = {_split(address)[0] for address in cluster.addresses} - {host}
    if others and host != "localhost" and not _is_address(host):
        # A host may know its own name as 127.0.1.1, which others do not reach.
        outside = [one for one in found if not _is_loopback(one[4][0])]
        if not outside:
            print(
                f"{host} is {found[0][4][0]} on this host, which the others "
                f"cannot reach: it listens at port {port} of every address."
            )
            return socket.create_server(("", port), backlog=cluster.size)
        found = outside
    family, _, _, _, address = found[0]
    return socket.create_server(
        address[:2], family=family, backlog=cluster.size
    )


def _welcome(cluster, server, deadline, seconds):
    """The chief: lets the others go when all of them are here."""
    guests: dict[int, socket.socket] = {}
    refused = set()
    with contextlib.ExitStack() as opened:
        while len(guests) < cluster.size - 1:
            if time.monotonic() > deadline:
                raise _missing(
                    cluster,
                    sorted(set(range(1, cluster.size)) - guests.keys()),
                    seconds,
                )
            with contextlib.suppress(OSError), contextlib.ExitStack() as mine:
                guest, (host, *_) = server.accept()
                mine.enter_context(guest)
                guest.settimeout(_LOOK)
                index, is_trusted = _read_hello(_line(guest), cluster)
                if index is not None and is_trusted:
                    guests[index] = guest
                    opened.push(mine.pop_all())
                    continue
                if host not in refused:
                    refused.add(host)
                    print(f"Refused {host}: it is no worker of this job.")
                if index is not None:
                    _send(guest, _NO)
        for guest in guests.values():
            # One that died meanwhile is noticed by TensorFlow.
            with contextlib.suppress(OSError):
                _send(guest, f"{_GO} {_proof(cluster, _GO)}")


def _report(cluster, deadline, seconds):
    """Any other worker: tells the chief that it is here, until it may go."""
    chief = _split(cluster.addresses[0])
    me = f"{cluster.index} of {cluster.size}"
    hello = f"{_HELLO} {me} {_proof(cluster, me)}"
    go = f"{_GO} {_proof(cluster, _GO)}"
    last = "it did not answer"
    while time.monotonic() < deadline:
        try:
            with socket.create_connection(chief, _LOOK) as connection:
                _send(connection, hello)
                answer = _answer(connection, deadline)
        except (OSError, UnicodeError) as error:
            answer, last = "", str(error)
        if hmac.compare_digest(answer.encode(), go.encode()):
            return
        if answer:
            raise RunError(
                f"Worker {cluster.named([0])} refuses worker "
                f"{cluster.named([cluster.index])}: {TOKEN} is not the same "
                "there and here, or TF_CONFIG is not. Set both alike on every "
                "host."
            )
        time.sleep(_LOOK)
    raise _missing(cluster, [0], seconds, f" ({last})")


def _answer(connection, deadline):
    """What the chief says, or nothing if it leaves or time is up."""
    while time.monotonic() < deadline:
        with contextlib.suppress(TimeoutError):
            return _line(connection)
    return ""


def _line(connection):
    """What the other side says, up to the end of its line."""
    data = b""
    while not data.endswith(b"\n") and len(data) < _LINE_BYTES:
        more = connection.recv(_LINE_BYTES - len(data))
        if not more:
            break
        data += more
    return data.decode(errors="replace").strip()


def _send(connection, line):
    connection.sendall(f"{line}\n".encode())


def _read_hello(line, cluster):
    """The worker that says hello, or None, and whether it has the token."""
    hello, _, proof = line.rpartition(" ")
    for i in range(1, cluster.size):
        me = f"{i} of {cluster.size}"
        if hello == f"{_HELLO} {me}":
            expected = _proof(cluster, me)
            return i, hmac.compare_digest(proof.encode(), expected.encode())
    return None, False


def _proof(cluster, text):
    """What only a worker with the token of this very job can say."""
    words = " ".join((text, *cluster.addresses))
    # The environment may hold bytes that are no UTF-8.
    token = cluster.token.encode(errors="surrogateescape")
    return hmac.new(token, words.encode(), "sha256").hexdigest()


def _split(address):
    """Host and port; an IPv6 address stands in brackets."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _is_address(host):
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(host)
        return True
    return False


def _is_loopback(address):
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


def _missing(cluster, indices, seconds, why=""):
    return RunError(
        f"Worker {cluster.named(indices)} did not come within {seconds:.0f} "
        f"s{why}, so that worker {cluster.named([cluster.index])} ends too. "
        "Start the same command on every host of TF_CONFIG, and let the hosts "
        "reach each other at these addresses."
    )
