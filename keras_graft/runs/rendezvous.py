"""All workers of a job are there before TensorFlow waits for them.

TensorFlow's own wait holds the interpreter for as long as a worker is
missing: no signal is heard and nobody is told who is missing. So the workers
meet here first, at the addresses where TensorFlow will listen afterwards.

They prove to each other that they are of this job, see `door`. TensorFlow's
own connections, which follow, know nothing of the kind.
"""

import contextlib
import hmac
import ipaddress
import socket
import time
from collections.abc import Iterator

from keras_graft.runs.cluster import TOKEN
from keras_graft.runs.cluster import Cluster
from keras_graft.runs.door import ASKED
from keras_graft.runs.door import GO
from keras_graft.runs.door import GUEST_SECONDS
from keras_graft.runs.door import HELLO
from keras_graft.runs.door import LINE_BYTES
from keras_graft.runs.door import Door
from keras_graft.runs.door import nonce
from keras_graft.runs.door import proof_of
from keras_graft.runs.door import send
from keras_graft.runs.exit_codes import RunError

# How long one look at the network takes, in seconds: signals wait as long.
_LOOK = 0.5
# How many the system lets wait at the door; it turns away the others.
_WAITING = 256


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
        server.setblocking(False)
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
            return socket.create_server(("", port), backlog=_WAITING)
        found = outside
    family, _, _, _, address = found[0]
    return socket.create_server(address[:2], family=family, backlog=_WAITING)


def _welcome(cluster, server, deadline, seconds):
    """The chief: lets the others go when all of them are here."""
    with contextlib.closing(Door(cluster, server)) as door:
        while len(door.workers) < cluster.size - 1:
            left = deadline - time.monotonic()
            if left <= 0:
                missing = set(range(1, cluster.size)) - door.workers.keys()
                raise _missing(cluster, sorted(missing), seconds)
            door.look(min(left, _LOOK))
        door.let_all_go()


def _report(cluster, deadline, seconds):
    """Any other worker: tells the chief that it is here, until it may go."""
    chief = _split(cluster.addresses[0])
    last = "it did not answer"
    while (left := deadline - time.monotonic()) > 0:
        try:
            with socket.create_connection(chief, min(left, _LOOK)) as talk:
                if _is_let_go(cluster, talk, deadline):
                    return
        except (OSError, UnicodeError) as error:
            last = str(error)
        time.sleep(max(0, min(_LOOK, deadline - time.monotonic())))
    raise _missing(cluster, [0], seconds, f" ({last})")


def _is_let_go(cluster, connection, deadline):
    """One talk with the chief: whether it lets this worker go.

    Raises:
        RunError: If it refuses.
        OSError: If it leaves, or is no chief.
    """
    asked_by = min(deadline, time.monotonic() + GUEST_SECONDS)
    asked, _, theirs = _line(connection, asked_by).rpartition(" ")
    if asked != ASKED:
        raise OSError("what answers there is no worker of keras_graft")
    mine = nonce()
    me = f"{cluster.index} of {cluster.size}"
    proof = proof_of(cluster, HELLO, me, theirs, mine)
    send(connection, f"{HELLO} {me} {mine} {proof}")
    # The chief proves itself, too: only then has it met all the others.
    go = f"{GO} {proof_of(cluster, GO, me, theirs, mine)}"
    answer = _line(connection, deadline)
    if hmac.compare_digest(answer.encode(), go.encode()):
        return True
    if answer:
        raise RunError(
            f"Worker {cluster.named([0])} refuses worker "
            f"{cluster.named([cluster.index])}, or is not of its job: {TOKEN} "
            "is not the same there and here, or TF_CONFIG is not. Set both "
            "alike on every host."
        )
    return False


def _line(connection, until):
    """One line of the other side, or nothing if it does not end in time."""
    data = b""
    while not data.endswith(b"\n") and len(data) < LINE_BYTES:
        left = until - time.monotonic()
        if left <= 0:
            return ""
        # Not longer than a look, so that signals are heard.
        connection.settimeout(min(left, _LOOK))
        try:
            more = connection.recv(LINE_BYTES - len(data))
        except TimeoutError:
            continue
        if not more:
            break
        data += more
    if not data.endswith(b"\n"):
        return ""
    return data.decode(errors="replace").strip()


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
