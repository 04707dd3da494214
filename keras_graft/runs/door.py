"""Who comes to the chief of a job, and how each proves to be of the job.

Workers and chief prove to each other that they know the token that all of
them have in their environment: each answers a question that is asked once
only, and the token itself does not travel.
"""

import contextlib
import dataclasses
import hmac
import secrets
import selectors
import socket
import time

ASKED = "keras_graft who"
HELLO = "keras_graft worker"
GO = "go"
LINE_BYTES = 300
# How long somebody may take to prove to be a worker, in seconds and in all,
# and how many may try at the same time.
GUEST_SECONDS = 5.0
_CROWD = 64
_NO = "no"


@dataclasses.dataclass(eq=False)
class _Guest:
    """Somebody at the door of the chief.

    Attributes:
        connection: The socket, which does not block.
        host: Where it comes from.
        nonce: What it was asked to prove itself with.
        until: When it is refused unless it has.
        said: What it said so far.
        farewell: What it hears when it may go.
    """

    connection: socket.socket
    host: str
    nonce: str
    until: float
    said: bytes = b""
    farewell: str = ""


class Door:
    """Where the chief asks who comes, many at a time.

    Nobody holds up the others: who says nothing, or says it slowly, is
    refused after a while, and so is the oldest of too many.

    Attributes:
        workers: Those who have proved to be a worker, by its index.
    """

    def __init__(self, cluster, server):
        self.workers: dict[int, _Guest] = {}
        self._cluster = cluster
        self._server = server
        self._asked: list[_Guest] = []  # The oldest first.
        self._refused: set[str] = set()
        self._selector = selectors.DefaultSelector()
        self._selector.register(server, selectors.EVENT_READ)

    def close(self):
        self._selector.close()
        for guest in [*self._asked, *self.workers.values()]:
            guest.connection.close()

    def look(self, seconds):
        """Serves whoever speaks within some seconds."""
        for key, _ in self._selector.select(seconds):
            if key.data is None:
                self._ask()
            elif key.data in self._asked:
                self._listen(key.data)
        now = time.monotonic()
        for guest in [g for g in self._asked if g.until < now]:
            self._refuse(guest)

    def let_all_go(self):
        for guest in self.workers.values():
            # One that died meanwhile is noticed by TensorFlow.
            with contextlib.suppress(OSError):
                send(guest.connection, guest.farewell)

    def _ask(self):
        try:
            connection, (host, *_) = self._server.accept()
        except OSError:
            return  # It has left again.
        if len(self._asked) >= _CROWD:
            self._refuse(self._asked[0])
        connection.setblocking(False)
        until = time.monotonic() + GUEST_SECONDS
        guest = _Guest(connection, host, nonce(), until)
        self._asked.append(guest)
        self._selector.register(connection, selectors.EVENT_READ, guest)
        try:
            send(connection, f"{ASKED} {guest.nonce}")
        except OSError:
            self._refuse(guest)

    def _listen(self, guest):
        try:
            more = guest.connection.recv(LINE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            more = b""
        guest.said += more
        if more and len(guest.said) < LINE_BYTES and b"\n" not in guest.said:
            return
        line = guest.said.decode(errors="replace").strip()
        index, farewell = _read_hello(line, self._cluster, guest.nonce)
        if index is None or farewell is None:
            self._refuse(guest, "" if index is None else _NO)
            return
        self._leave(guest)
        guest.farewell = farewell
        before = self.workers.pop(index, None)
        if before is not None:
            before.connection.close()
        self.workers[index] = guest

    def _refuse(self, guest, answer=""):
        self._leave(guest)
        if guest.host not in self._refused:
            self._refused.add(guest.host)
            print(f"Refused {guest.host}: it is no worker of this job.")
        with guest.connection:
            if answer:
                with contextlib.suppress(OSError):
                    send(guest.connection, answer)

    def _leave(self, guest):
        self._asked.remove(guest)
        self._selector.unregister(guest.connection)


def nonce():
    """A word that was never said before."""
    return secrets.token_hex(16)


def send(connection, line):
    """Says one line."""
    connection.sendall(f"{line}\n".encode())


def _read_hello(line, cluster, nonce):
    """The worker that says hello, and what it hears when it may go.

    Either is None: no worker of this cluster, or one without its token.
    """
    hello, _, proof = line.rpartition(" ")
    hello, _, theirs = hello.rpartition(" ")
    for i in range(1, cluster.size):
        me = f"{i} of {cluster.size}"
        if hello == f"{HELLO} {me}":
            expected = proof_of(cluster, HELLO, me, nonce, theirs)
            if not hmac.compare_digest(proof.encode(), expected.encode()):
                return i, None
            return i, f"{GO} {proof_of(cluster, GO, me, nonce, theirs)}"
    return None, None


def proof_of(cluster, *words):
    """What only a worker with the token of this very job can say.

    Both sides have a word in it that was never said before, so that what
    somebody overheard proves nothing.
    """
    text = " ".join((*words, *cluster.addresses))
    # The environment may hold bytes that are no UTF-8.
    token = cluster.token.encode(errors="surrogateescape")
    return hmac.new(token, text.encode(), "sha256").hexdigest()
