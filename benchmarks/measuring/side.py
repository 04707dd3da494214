"""Sides of a comparison: child processes that work only when they are asked.

Each side has a process, and with it thread pools, of its own. It blocks on
its standard input between two requests, so that it uses no processor while
another side is measured. Requests and answers are lines of JSON.
"""

import json
import os
import pathlib
import select
import subprocess
import sys
import time
from typing import Any

_ROOT = pathlib.Path(__file__).resolve().parents[2]
# No answer takes this long on a machine that is not stuck.
LIMIT_SECONDS = 3600.0
_QUIET = {
    "KERAS_BACKEND": "tensorflow",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    # Several processes share a GPU; TensorFlow would take all of its memory.
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
}


class SideError(Exception):
    """A side ended or did not answer; the message holds its last words."""


class Side:
    """The parent's end: starts `python -P -m measuring.MODULE`.

    Args:
        module: Name of a module in `measuring` that calls `serve`.
        config: JSON values that it is started with.
        log: File for what it prints.
        pass_fds: File descriptors that it inherits.
        environment: Variables, where this process has none of that name.
        variables: Variables that it has whatever this process has.
        root: Folder of another version of the project, whose package and
            whose `measuring` are used; None: this project.
    """

    def __init__(
        self,
        module: str,
        config: dict[str, Any],
        log: pathlib.Path,
        pass_fds: tuple[int, ...] = (),
        environment: dict[str, str] | None = None,
        variables: dict[str, str] | None = None,
        root: pathlib.Path | None = None,
    ):
        self.name = module
        self._log = log
        root = root or _ROOT
        # `measuring` knows the names of its own version only.
        path = os.pathsep.join([str(root / "benchmarks"), str(root)])
        with open(log, "ab") as file:
            self._process = subprocess.Popen(
                # -P: the current folder may hold another version.
                [sys.executable, "-P", "-m", f"measuring.{module}"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                env={
                    **_QUIET,
                    **(environment or {}),
                    **os.environ,
                    **(variables or {}),
                    "PYTHONPATH": path,
                },
                pass_fds=pass_fds,
            )
        self.send(config)

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, request: dict[str, Any]) -> None:
        """Sends a request and does not wait."""
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._error("ended") from None

    def receive(self, limit_seconds: float = LIMIT_SECONDS) -> dict[str, Any]:
        """Waits for the answer to the last request.

        Raises:
            SideError: If the side ended, or took longer than the limit.
        """
        deadline = time.monotonic() + limit_seconds
        stdout = self._process.stdout
        line = b""
        while not line.endswith(b"\n"):
            left = max(0.0, deadline - time.monotonic())
            if not select.select([stdout], [], [], left)[0]:
                raise self._error(f"gave no answer in {limit_seconds:.0f} s")
            part = os.read(stdout.fileno(), 1 << 16)
            if not part:
                raise self._error("ended")
            line += part
        return json.loads(line)

    def ask(self, **request: Any) -> dict[str, Any]:
        """Sends a request and waits for the answer."""
        self.send(request)
        return self.receive()

    def close(self) -> None:
        """Ends the process."""
        self._process.stdin.close()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def _error(self, what):
        words = self._log.read_text(errors="replace")[-2000:]
        return SideError(f"The side {self.name} {what}. Its log:\n{words}")


class Channel:
    """The child's end. Takes standard output over; prints go to the log."""

    def __init__(self):
        self._answers = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)

    def receive(self) -> dict[str, Any]:
        """The next request. Ends the process when there are no more."""
        line = sys.stdin.readline()
        if not line:
            raise SystemExit(0)
        return json.loads(line)

    def send(self, **answer: Any) -> None:
        self._answers.write(json.dumps(answer) + "\n")
        self._answers.flush()
