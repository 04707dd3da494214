"""A limit for waits that nothing in Python can end."""

import os
import sys
import threading
import time
from collections.abc import Callable

from keras_graft.runs.exit_codes import REFUSED


class Watchdog:
    """Ends this process when what it waits for does not come.

    A worker that waits for another one sits in TensorFlow, where neither an
    exception nor a signal's handler reaches it. A context manager; `touch`
    begins the wait anew.

    Args:
        seconds: How long nothing may happen.
        explain: Called at the end of that time; returns what to tell.
    """

    def __init__(self, seconds: float, explain: Callable[[], str]):
        self._seconds = seconds
        self._explain = explain
        self._ended = threading.Event()
        self._deadline = 0.0

    def touch(self) -> None:
        """Says that something has happened."""
        self._deadline = time.monotonic() + self._seconds

    def __enter__(self):
        self.touch()
        threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(self, *error):
        self._ended.set()

    def _watch(self):
        while (left := self._deadline - time.monotonic()) > 0:
            if self._ended.wait(left):
                return
        print(f"Error: {self._explain()}", file=sys.stderr, flush=True)
        os._exit(REFUSED)
