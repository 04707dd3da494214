"""The rival: N processes of the reference's protocol, started and timed."""

import dataclasses
import os
import pathlib
import statistics
import time
from collections.abc import Callable
from typing import Any

from measuring.side import Side
from measuring.workload import Workload

_CALIBRATION_ROUNDS = 5
_CALIBRATION_STEPS = 2
# A mode that is slower than this share of the best is not tried again.
_HOPELESS = 0.6


@dataclasses.dataclass(frozen=True)
class Mode:
    """How N processes share the machine.

    Attributes:
        at_once: Processes that work at the same time; the others wait.
        threads: Threads of each.
        channels_last: Whether kernels and activations have the channels last.
    """

    at_once: int
    threads: int
    channels_last: bool = False

    def __str__(self):
        layout = "last" if self.channels_last else "first"
        return (
            f"{self.at_once} at once, {self.threads} thread"
            f"{'s' * (self.threads > 1)} each, channels {layout}"
        )


def candidate_modes(
    networks: int, cores: int, compiled: bool = False
) -> list[Mode]:
    """The ways to share the machine that are tried.

    Args:
        networks: N.
        cores: Processors of the machine.
        compiled: Whether networks are compiled, anew for each layout: one
            layout only.

    Returns:
        From one process with all threads to all processes at once; the cores
        divided among those at work, or one thread each; both layouts,
        or where networks are compiled channels last.
    """
    splits = {(networks, 1)}
    at_once = 1
    while at_once <= networks:
        splits.add((at_once, max(1, cores // at_once)))
        at_once *= 2
    return [
        Mode(at_once, threads, last)
        for at_once, threads in sorted(splits)
        for last in ((True,) if compiled else (False, True))
    ]


class Rival:
    """N PyTorch processes that work when they are told to.

    Args:
        workload: What is trained.
        folder: For checkpoints and logs; must exist.
        compiled: Whether `torch.compile` compiles the networks.

    Attributes:
        as_shipped: All processes at once, each with PyTorch's own number of
            threads. Known when they have started.
    """

    def __init__(
        self,
        workload: Workload,
        folder: pathlib.Path,
        compiled: bool = False,
    ):
        self.workload = workload
        self._tokens = os.pipe()
        self._in_pipe = 0
        self._sides = [
            Side(
                "torch_side",
                {
                    "workload": workload.config(),
                    "compiled": compiled,
                    "folder": str(folder),
                    "position": position,
                    "tokens": self._tokens,
                },
                folder / f"torch_{position}.log",
                pass_fds=self._tokens,
            )
            for position in range(workload.networks)
        ]

    def start(self) -> None:
        """Waits for the imports and builds the networks."""
        for side in self._sides:
            side.receive()
        answers = self._all(do="start")
        self.as_shipped = Mode(self.workload.networks, answers[0]["threads"])

    @property
    def pids(self) -> list[int]:
        return [side.pid for side in self._sides]

    def epoch(self, mode: Mode, parts: int = 1) -> dict[str, float]:
        """An epoch of every process.

        Args:
            mode: How they share the machine.
            parts: Only one of so many equal parts of the images is used, and
                the rest is extrapolated; saving and grafting is not.

        Returns:
            `seconds` until the last one was done; `cpu_seconds` of all
            processes; the means over processes of the seconds of `train`,
            `validate`, `save` and `graft`.
        """
        seconds, answers = self._timed(mode, do="epoch", parts=parts)
        means = {
            part: statistics.mean(answer[part] for answer in answers)
            for part in answers[0]
        }
        once = means["save"] + means["graft"]
        steps = self.workload.steps
        scale = steps / max(1, steps // parts)
        means["train"] *= scale
        means["validate"] *= scale
        return {
            "seconds": scale * (seconds - once) + once,
            "cpu_seconds": scale * means.pop("cpu") * len(answers),
            **means,
        }

    def bare_images_per_second(self, mode: Mode, steps: int) -> float:
        """Network-images a second in a loop on one resident batch."""
        seconds, _ = self._timed(mode, do="steps", count=steps)
        return (
            steps * self.workload.batch_size * self.workload.networks / seconds
        )

    def graft_seconds(self, mode: Mode, fast: bool) -> float:
        """Seconds until every process has saved and grafted.

        Args:
            mode: How they share the machine.
            fast: Whether entropies come from PyTorch's own histogram.
        """
        seconds, _ = self._timed(mode, do="graft", fast=fast)
        return seconds

    def best_mode(
        self, modes: list[Mode], report: Callable[[str], None]
    ) -> Mode:
        """The mode in which the bare loop is fastest."""
        rates: dict[Mode, list[float]] = {mode: [] for mode in modes}
        for mode in modes:
            self.bare_images_per_second(mode, 1)
        tried = list(modes)
        for _ in range(_CALIBRATION_ROUNDS):
            for mode in tried:
                rates[mode].append(
                    self.bare_images_per_second(mode, _CALIBRATION_STEPS)
                )
            medians = {m: statistics.median(rates[m]) for m in modes}
            enough = _HOPELESS * max(medians.values())
            tried = [mode for mode in tried if medians[mode] >= enough]
        for mode in modes:
            report(f"  {medians[mode]:6.0f} images/s  {mode}")
        return max(tried, key=medians.get)

    def close(self) -> None:
        """Ends the processes."""
        for side in self._sides:
            side.close()
        for end in self._tokens:
            os.close(end)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def _timed(self, mode: Mode, **request: Any):
        take_turns = mode.at_once < self.workload.networks
        self._fill(mode.at_once if take_turns else 0)
        request["mode"] = {
            "threads": mode.threads,
            "channels_last": mode.channels_last,
            "tokens": take_turns,
        }
        begin = time.perf_counter()
        answers = self._all(**request)
        return time.perf_counter() - begin, answers

    def _fill(self, count):
        read, write = self._tokens
        if self._in_pipe:
            os.read(read, self._in_pipe)
        os.write(write, b"t" * count)
        self._in_pipe = count

    def _all(self, **request: Any) -> list[dict]:
        for side in self._sides:
            side.send(request)
        return [side.receive() for side in self._sides]
