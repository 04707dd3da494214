"""A limit for waits that nothing in Python can end."""

import contextlib
import faulthandler
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from collections.abc import Iterator

from keras_graft.runs.exit_codes import REFUSED
from keras_graft.structure.printable import printable


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
        text = printable(f"Error: {self._explain()}", kept="\n")
        print(text, file=sys.stderr, flush=True)
        os._exit(REFUSED)


# Waits for a word through its standard input, which ends with the process
# that holds the other side.
_SPEAKER = """
import sys
if sys.stdin.buffer.read():
    sys.stderr.write(sys.argv[1] + "\\n")
"""


@contextlib.contextmanager
def ended_after(seconds: float, text: str) -> Iterator[None]:
    """Ends this process with a sentence if what is inside takes too long.

    Unlike `Watchdog` also where something holds the interpreter, so that no
    thread of Python could say a word.

    Args:
        seconds: How long it may take.
        text: The sentence.
    """
    reading, writing = os.pipe()
    with open(reading, "rb") as heard, open(writing, "wb") as word:
        speaker = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _SPEAKER, f"Error: {text}"],
            stdin=heard,
            stdout=subprocess.DEVNULL,
            # Ctrl-C is for this process.
            start_new_session=True,
        )
        heard.close()
        # Its traceback is the word; the thread behind it is not Python's.
        faulthandler.dump_traceback_later(seconds, exit=True, file=word)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()
    speaker.wait()
