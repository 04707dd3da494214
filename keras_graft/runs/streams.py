"""Standard output and error that may be closed under a run.

A run takes hours, and who listened may have left: `launch | head -1`, a log
on a disk that is full, a terminal that is gone. What is said is then lost,
what is computed is not.
"""

import contextlib
import logging
import os
import sys
from typing import Any

from keras_graft.structure.printable import printable

_NAMES = {1: "Standard output", 2: "Standard error"}


class LastingStream:
    """A text stream that gives up writing, and not its caller.

    When a write fails, the descriptor is turned to nowhere, so that libraries
    which write to it are spared too, and the other stream is told once.

    Args:
        stream: An open text stream.
        descriptor: Its descriptor, 1 or 2.
    """

    def __init__(self, stream: Any, descriptor: int):
        self._stream = stream
        self._descriptor = descriptor
        self._other: LastingStream | None = None
        self._is_lost = False

    def tell(self, other: "LastingStream") -> None:
        """Names the stream that hears of it when this one is lost."""
        self._other = other

    def write(self, text: str) -> int:
        if not self._is_lost:
            try:
                return self._stream.write(text)
            except (OSError, ValueError) as error:
                self._lose(error)
        return len(text)

    def flush(self) -> None:
        if not self._is_lost:
            try:
                self._stream.flush()
            except (OSError, ValueError) as error:
                self._lose(error)

    def writelines(self, lines) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name):
        return getattr(self._stream, name)

    def _lose(self, error):
        self._is_lost = True
        with contextlib.suppress(OSError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._descriptor)
            os.close(nowhere)
        # What it still holds goes to nowhere too, or is tried again at exit.
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()
        if self._other is not None:
            self._other.write(
                f"{_NAMES[self._descriptor]} cannot be written any more "
                f"({error}): the run goes on without it.\n"
            )
            self._other.flush()


class PlainFormatter(logging.Formatter):
    """The message alone, with escapes for what a terminal would obey."""

    def format(self, record):
        return printable(super().format(record), kept="\n\t")


def keep_streams() -> None:
    """Lets this process outlive its standard output and standard error.

    Descriptors that were closed from the start lead nowhere, since the next
    file to be opened would take their number and all that libraries print.
    Lines appear as they are written, characters that the streams' encoding
    lacks as escapes.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest free number, which is this one.
            os.open(os.devnull, os.O_RDWR)
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")
    output = _lasting(sys.stdout, 1)
    errors = _lasting(sys.stderr, 2)
    output.tell(errors)
    errors.tell(output)
    sys.stdout, sys.stderr = output, errors


def _lasting(stream, descriptor):
    if stream is None:
        stream = open(os.devnull, "w", encoding="utf-8")
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(line_buffering=True, errors="backslashreplace")
    return LastingStream(stream, descriptor)
