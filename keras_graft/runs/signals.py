"""SIGTERM, SIGINT and SIGHUP end a run at a good moment."""

import contextlib
import os
import signal
import threading

# A terminal that is closed sends SIGHUP, which Windows does not know.
_SIGNALS = tuple(
    getattr(signal, name)
    for name in ("SIGTERM", "SIGINT", "SIGHUP")
    if hasattr(signal, name)
)


class Interrupted(BaseException):
    """A signal ends the command.

    Args:
        number: The signal's number.
    """

    def __init__(self, number: int):
        self.name = signal.Signals(number).name
        self.exit_code = 128 + number
        super().__init__(self.name)


def leave_without_traceback() -> None:
    """Lets a signal end this process before it has done anything.

    For the time that imports and flags take, until `StopSignals` is entered.
    """
    for number in _heard():
        signal.signal(number, _leave)


def _leave(number, frame):
    del frame  # Wherever it was.
    _say(f"Stopped by {signal.Signals(number).name}.")
    os._exit(128 + number)


def _heard():
    """The signals that this process is to hear.

    `nohup` has SIGHUP ignored, so that a run outlives its terminal.
    """
    hangup = getattr(signal, "SIGHUP", None)
    return [
        number
        for number in _SIGNALS
        if number != hangup or signal.getsignal(number) != signal.SIG_IGN
    ]


def _say(text):
    # Neither buffers nor locks, which the interrupted code may hold.
    with contextlib.suppress(OSError):
        os.write(2, f"{text}\n".encode())


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
                for number in _heard()
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
        _say(
            f"\n{signal.Signals(number).name}: stopping after this step. A "
            "second signal stops at once."
        )
