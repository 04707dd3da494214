"""What is to be reached, and the printed table."""

import dataclasses

from measuring.intervals import CONFIDENCE


@dataclasses.dataclass(frozen=True)
class Target:
    """A bound that a key must keep, and one that it is to reach.

    Both are for the workload of README.md: four ResNet-20, batch 128.

    Attributes:
        key: Of the JSON file.
        floor: Must be kept, or None.
        aim: Is wanted, or None.
        larger: Whether a larger value is better.
        words: What it is.
    """

    key: str
    floor: float | None
    aim: float | None
    larger: bool
    words: str


TARGETS = (
    Target(
        "speedup_over_keras_fits", 1.4, 2.0, True, "epoch: N plain Keras fits"
    ),
    Target(
        "speedup_over_pytorch_as_shipped",
        2.2,
        3.5,
        True,
        "epoch: the reference's protocol, as shipped",
    ),
    Target(
        "speedup_over_pytorch_tuned",
        1.15,
        1.6,
        True,
        "epoch: the same with the best threads",
    ),
    Target(
        "step_speedup_over_keras_fits",
        None,
        None,
        True,
        "training step: plain Keras fits",
    ),
    Target(
        "step_speedup_over_bare_pytorch",
        None,
        None,
        True,
        "training step: a bare PyTorch loop, nothing else",
    ),
    Target(
        "cpu_speedup_over_keras_fits",
        None,
        None,
        True,
        "CPU time of an epoch: plain Keras fits",
    ),
    Target(
        "cpu_speedup_over_pytorch_tuned",
        None,
        None,
        True,
        "CPU time of an epoch: PyTorch tuned",
    ),
    Target(
        "graft_speedup_over_reference",
        10.0,
        50.0,
        True,
        "all grafts of 20 epochs, ResNet-110",
    ),
    Target(
        "graft_speedup_over_reference_tuned",
        None,
        None,
        True,
        "  the reference with the best threads",
    ),
    Target("gemm_fraction", None, 0.75, True, "FLOP/s over matrix products"),
    Target("input_fraction", 0.05, 0.01, False, "input pipeline over a step"),
    Target("first_step_growth", 6.0, 3.0, False, "first step, N = 8 over 1"),
    Target(
        "memory_over_keras_processes",
        0.6,
        0.4,
        False,
        "memory over N processes",
    ),
    Target(
        "memory_over_pytorch_processes",
        None,
        None,
        False,
        "memory over the N processes of PyTorch",
    ),
    Target("graft_seconds", None, None, False, "those grafts, with tracing"),
    Target("first_step_seconds", None, None, False, "cold start to first step"),
    Target("peak_pss_mib", None, None, False, "peak memory, MiB"),
    Target("checkpoint_seconds", None, None, False, "end of epoch: checkpoint"),
    Target("images_per_second", None, None, True, "network-images a second"),
    Target(
        "keras_fits_images_per_second", None, None, True, "  plain Keras fits"
    ),
    Target(
        "pytorch_tuned_images_per_second", None, None, True, "  PyTorch tuned"
    ),
    Target(
        "pytorch_as_shipped_images_per_second",
        None,
        None,
        True,
        "  PyTorch as shipped",
    ),
    Target(
        "pytorch_bare_images_per_second", None, None, True, "  PyTorch bare"
    ),
)


def rows(result: dict) -> list[list[str]]:
    """The table of a result: what, value, interval, floor, aim.

    Args:
        result: What the JSON file holds.
    """
    found = []
    for target in TARGETS:
        if target.key not in result:
            continue
        low, high = result["intervals"][target.key]
        coverage = result["coverage"][target.key]
        # Too few rounds for 90 %.
        note = "" if coverage >= CONFIDENCE else f" ({coverage:.0%})"
        sign = "" if target.larger else "at most "
        found.append(
            [
                target.words,
                _number(result[target.key]),
                f"{_number(low)} to {_number(high)}{note}",
                *(
                    "" if bound is None else f"{sign}{_number(bound)}"
                    for bound in (target.floor, target.aim)
                ),
            ]
        )
    return found


def lines(result: dict) -> list[str]:
    """The table as text."""
    return [
        f"{words:<50}{value:>9}  {interval:<26}{floor:<14}{aim}".rstrip()
        for words, value, interval, floor, aim in [
            ["", "median", "interval", "floor", "aim"],
            *rows(result),
        ]
    ]


def markdown(result: dict) -> list[str]:
    """The table in Markdown."""
    return [
        "| | median | 90 % interval | floor | aim |",
        "| --- | --- | --- | --- | --- |",
        *(f"| {' | '.join(row).strip()} |" for row in rows(result)),
    ]


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
