"""Memory and CPU time of process trees, from Linux' /proc."""

import os
import pathlib
import threading
from collections.abc import Iterable

_PROC = pathlib.Path("/proc")
# Reading a large process' tables takes tens of milliseconds.
_SECONDS_BETWEEN_LOOKS = 0.4


def process_tree(roots: Iterable[int]) -> list[int]:
    """The processes and all that descend from them.

    Args:
        roots: Process ids.
    """
    children: dict[int, list[int]] = {}
    for folder in _PROC.iterdir():
        if folder.name.isdigit():
            fields = _stat(int(folder.name))
            if fields:
                children.setdefault(int(fields[1]), []).append(int(folder.name))
    found, waiting = [], list(roots)
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        waiting += children.get(pid, [])
    return found


def pss_mib(pid: int) -> float:
    """Proportional set size: a shared page counts by its sharers.

    Args:
        pid: Process id.

    Returns:
        MiB; 0 for a process that has ended.
    """
    try:
        text = (_PROC / str(pid) / "smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    for line in text.splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


def peak_rss_mib(pid: int) -> float:
    """The largest resident set of a process so far, in MiB.

    Args:
        pid: Id of a process that runs.
    """
    text = (_PROC / str(pid) / "status").read_text()
    peak = text.partition("VmHWM:")[2].split()[0]
    return int(peak) / 1024


def cpu_seconds(pids: Iterable[int]) -> float:
    """CPU time that processes have used, in user and kernel mode."""
    ticks = os.sysconf("SC_CLK_TCK")
    found = [_stat(pid) for pid in pids]
    return sum((int(f[11]) + int(f[12])) / ticks for f in found if f)


class PeakMemory:
    """The largest PSS of process trees while it is entered.

    Args:
        roots: Process ids.

    Attributes:
        mib: The peak, in MiB.
    """

    def __init__(self, roots: Iterable[int]):
        self.mib = 0.0
        self._roots = list(roots)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._ended.set()
        self._thread.join()
        self._look()

    def _watch(self):
        while not self._ended.wait(_SECONDS_BETWEEN_LOOKS):
            self._look()

    def _look(self):
        total = sum(pss_mib(pid) for pid in process_tree(self._roots))
        self.mib = max(self.mib, total)


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the name; [] if it has ended."""
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return text.rpartition(")")[2].split()
