"""Interleaved rounds: each side in its turn, the others idle."""

import time
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from measuring.memory import cpu_seconds
from measuring.memory import process_tree


class Deadline:
    """Says whether another round fits into what is left of the time.

    Args:
        seconds: From now on.
    """

    def __init__(self, seconds: float):
        self._end = time.monotonic() + seconds
        self._longest = 0.0
        self._began: float | None = None

    def another(self) -> bool:
        """Whether to begin a round; the first one always begins."""
        now = time.monotonic()
        if self._began is not None:
            self._longest = max(self._longest, now - self._began)
        fits = self._began is None or now + self._longest <= self._end
        self._began = now
        return fits


def interleave(
    turns: Mapping[str, Callable[[], Any]],
    rounds: int,
    deadline: Deadline,
    report: Callable[[str], None],
    keep: Callable[[dict[str, list]], None] = lambda found: None,
) -> dict[str, list]:
    """Calls every turn once a round, forwards and backwards by turns.

    Args:
        turns: By name, in order.
        rounds: Most rounds.
        deadline: When no further round begins.
        report: Called with a line for each round.
        keep: Called after each round with what was found so far.

    Returns:
        By name: what the turn returned in each round.
    """
    found: dict[str, list] = {name: [] for name in turns}
    for number in range(rounds):
        if not deadline.another():
            break
        begin = time.monotonic()
        names = list(turns)
        # So that no side always comes after the same one.
        for name in names if number % 2 == 0 else reversed(names):
            found[name].append(turns[name]())
        seconds = time.monotonic() - begin
        report(f"  round {number + 1} of {rounds} took {seconds:.0f} s")
        keep(found)
    return found


class IdleWatch:
    """How busy the other sides were while one was measured.

    Args:
        sides: By name: the process ids of a side.
    """

    def __init__(self, sides: Mapping[str, Sequence[int]]):
        self._sides = sides
        self._busy = 0.0
        self._seconds = 0.0

    def turn(self, name: str, work: Callable[[], Any]) -> Callable[[], Any]:
        """`work`, watched, as the turn of the side `name`."""

        def watched():
            others = process_tree(
                pid
                for side, pids in self._sides.items()
                if side != name
                for pid in pids
            )
            begin, before = time.monotonic(), cpu_seconds(others)
            result = work()
            self._busy += cpu_seconds(others) - before
            self._seconds += time.monotonic() - begin
            return result

        return watched

    @property
    def fraction(self) -> float:
        """Processors that the sides at rest used, on average; near 0."""
        return self._busy / self._seconds if self._seconds else 0.0
