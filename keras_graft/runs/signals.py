"""SIGTERM and SIGINT end a run at a good moment."""

import contextlib
import os
import signal
import sys
import threading

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Interrupted(BaseException):
    """A signal ends the command.

    Args:
        number: The signal's number.
    """

    def __init__(self, number: int):
        self.name = signal.Signals(number).name
        self.exit_code = 128 + number
        super().__init__(self.name)


class StopSignals:
    """Turns the first signal into `Interrupted`; the second leaves at once.

    A context manager: the handlers that were there before come back at its
    end. Only the main thread can have handlers, elsewhere it does nothing.
    """

    def __init__(self):
        self._received = None
        self._deferring = False
        self._before = {}

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            self._before = {
                number: signal.signal(number, self._handle)
                for number in _SIGNALS
            }
        return self

    def __exit__(self, *error):
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    @contextlib.contextmanager
    def deferred(self):
        """Inside, a signal waits for `check`, at the latest for the end."""
        self._deferring = True
        try:
            yield
        finally:
            self._deferring = False
        self.check()

    def take_back(self) -> None:
        """Puts the handlers in place again.

        TensorFlow puts one of its own in the place of SIGTERM's when it joins
        several workers, and the signal is never heard of.
        """
        for number in self._before:
            signal.signal(number, self._handle)

    def check(self) -> None:
        """Raises `Interrupted` if a signal has come."""
        if self._received is not None:
            raise Interrupted(self._received)

    def _handle(self, number, frame):
        del frame  # Wherever it was.
        if self._received is not None:
            os._exit(128 + number)
        self._received = number
        if not self._deferring:
            raise Interrupted(number)
        print(
            f"\n{signal.Signals(number).name}: stopping after this step. A "
            "second signal stops at once.",
            file=sys.stderr,
        )
