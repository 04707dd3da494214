"""Records -> one row an arm, and the Markdown table of them."""

import dataclasses
import math
from collections.abc import Sequence
from statistics import multimode

from keras_graft.compare.arms import ARMS
from keras_graft.compare.arms import BASELINE
from keras_graft.compare.arms import EQUAL_COST_BASELINE
from keras_graft.compare.records import Record
from keras_graft.compare.statistics import Difference
from keras_graft.compare.statistics import mean_and_std
from keras_graft.compare.statistics import paired_difference


@dataclasses.dataclass(frozen=True)
class Row:
    """An arm over its seeds.

    Attributes:
        arm: Its name.
        description: What it is.
        seeds: Number of seeds.
        accuracy: Mean test accuracy, in [0, 1].
        std: Its sample standard deviation; NaN for one seed.
        difference: To the tuned single network, by seed; None without.
        difference_at_cost: To the single network trained N times longer.
        best_epoch_accuracy: Mean test accuracy of the best epoch; None where
            the protocol has none.
        ece: Mean expected calibration error.
        invalid_share: Invalid filters of all filters shipped, mean.
        divergence: Mean, nats; None for one network.
        seconds: Mean time of the training.
        training_cost: Operations of the training, in those of the single
            network; NaN without one.
        inference_cost: Likewise, for an image.
    """

    arm: str
    description: str
    seeds: int
    accuracy: float
    std: float
    difference: Difference | None
    difference_at_cost: Difference | None
    best_epoch_accuracy: float | None
    ece: float
    invalid_share: float
    divergence: float | None
    seconds: float
    training_cost: float
    inference_cost: float


def ordered(records: Sequence[Record]) -> list[Record]:
    """Records in the order of the arms, then the seeds."""
    known = list(ARMS)
    return sorted(
        records,
        key=lambda r: (
            known.index(r.arm) if r.arm in known else len(known),
            r.arm,
            r.seed,
        ),
    )


def by_arm(records: Sequence[Record]) -> dict[str, list[Record]]:
    """The records of each arm, in the order of the arms, then the seeds."""
    found: dict[str, list[Record]] = {}
    for record in ordered(records):
        found.setdefault(record.arm, []).append(record)
    return found


def accuracy_by_seed(records: Sequence[Record]) -> dict[int, float]:
    """Test accuracy of each record, by its seed."""
    return {record.seed: record.test_accuracy for record in records}


def rows(records: Sequence[Record]) -> list[Row]:
    """One row for each arm, in the order of the arms."""
    found = by_arm(records)
    single = found.get(BASELINE, [])
    long = found.get(EQUAL_COST_BASELINE, [])
    return [_row(mine, single, long) for mine in found.values()]


def _row(mine, single, long):
    def mean(values):
        known = [value for value in values if value is not None]
        return mean_and_std(known)[0] if known else None

    def cost(attribute):
        if not single:
            return math.nan
        return mean(getattr(r, attribute) for r in mine) / mean(
            getattr(r, attribute) for r in single
        )

    accuracies = accuracy_by_seed(mine)
    accuracy, std = mean_and_std(list(accuracies.values()))
    return Row(
        arm=mine[0].arm,
        description=mine[0].description,
        seeds=len(accuracies),
        accuracy=accuracy,
        std=std,
        difference=_difference(accuracies, single, mine),
        difference_at_cost=_difference(accuracies, long, mine),
        best_epoch_accuracy=mean(r.best_epoch_test_accuracy for r in mine),
        ece=mean(r.ece for r in mine),
        invalid_share=mean(r.invalid_filters / r.total_filters for r in mine),
        divergence=mean(r.divergence for r in mine),
        seconds=mean(r.seconds for r in mine),
        training_cost=cost("flops_train"),
        inference_cost=cost("flops_inference"),
    )


def _difference(accuracies, baseline, mine):
    if baseline and baseline[0].arm == mine[0].arm:
        return None
    return paired_difference(accuracies, accuracy_by_seed(baseline))


# Columns of the table, those of `cells`.
HEAD = (
    "arm",
    "test accuracy, %",
    f"minus `{BASELINE}`",
    f"minus `{EQUAL_COST_BASELINE}`",
    "training cost",
    "inference cost",
    "ECE, %",
    "invalid filters, %",
    "divergence",
    "seconds",
    "seeds",
)


def cells(row: Row) -> tuple[str, ...]:
    """A row as text, one cell for each column of the table."""
    return (
        f"`{row.arm}`: {row.description}",
        _with_std(row),
        percent_points(row.difference),
        percent_points(row.difference_at_cost),
        _times(row.training_cost),
        _times(row.inference_cost),
        f"{100 * row.ece:.1f}",
        f"{100 * row.invalid_share:.1f}",
        "-" if row.divergence is None else f"{row.divergence:.3f}",
        f"{row.seconds:.0f}",
        f"{row.seeds}",
    )


def markdown(records: Sequence[Record]) -> str:
    """The table of a study's arms, in Markdown."""
    lines = [HEAD, ("---",) * len(HEAD), *map(cells, rows(records))]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def caption(name: str, records: Sequence[Record]) -> str:
    """What a study compared, in a sentence or two."""
    first = ordered(records)[0]
    n = max(record.num_networks for record in records)
    # Of most arms; some have N times as many.
    epochs = min(multimode(record.epochs for record in records))
    seeds = [row.seeds for row in rows(records)]
    count = (
        f"{min(seeds)}"
        if min(seeds) == max(seeds)
        else (f"{min(seeds)} to {max(seeds)}")
    )
    return (
        f"Study `{name}`: {first.model} on {first.dataset}, "
        f"{first.train_examples} training images, {epochs} epochs, "
        f"N = {n}, {count} seeds. Test accuracy after the last epoch, mean "
        "± standard deviation over seeds; differences are paired by seed, "
        "in percentage points, with a 95 % interval; costs are operations, "
        f"in those of `{BASELINE}`."
    )


def percent_points(difference: Difference | None) -> str:
    """A difference of accuracies with its interval, for people."""
    if difference is None:
        return "-"
    text = f"{100 * difference.mean:+.2f}"
    if math.isnan(difference.low):
        return text
    low, high = 100 * difference.low, 100 * difference.high
    return f"{text} [{low:+.2f}, {high:+.2f}]"


def _with_std(row):
    text = f"{100 * row.accuracy:.2f}"
    if not math.isnan(row.std):
        text += f" ± {100 * row.std:.2f}"
    if row.best_epoch_accuracy is not None:
        text += f" (best epoch {100 * row.best_epoch_accuracy:.2f})"
    return text


def _times(cost):
    return "-" if math.isnan(cost) else f"{cost:.2f} x"
