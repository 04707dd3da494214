"""Records -> the primary comparisons: this package's best arm, its rivals."""

import math
from collections.abc import Sequence

from keras_graft.compare import summary
from keras_graft.compare.arms import EQUAL_COST_BASELINE
from keras_graft.compare.arms import PRIMARY_RIVALS
from keras_graft.compare.arms import RIVALS
from keras_graft.compare.records import Record
from keras_graft.compare.statistics import mean_and_std
from keras_graft.compare.statistics import paired_difference

# The first of them that a study has says what N networks may cost.
_BUDGETS = (EQUAL_COST_BASELINE, "swa_long", "best_of_n", "ensemble")
# Operations are counted, so that equal costs differ by rounding alone.
_SAME_COST = 1.01


def best_arm(records: Sequence[Record]) -> str | None:
    """The arm of this package that is best on validation, at equal cost.

    Args:
        records: Those of a study.

    Returns:
        Of the arms that are no rivals and whose training costs at most what
        `single_long` costs, or another rival at that cost, the one with the
        highest mean validation accuracy; None where there is none.
    """
    by_arm = summary.by_arm(records)
    budget = _SAME_COST * _cost(by_arm.get(_budget_arm(by_arm), []))
    candidates = {
        arm: _validation(mine)
        for arm, mine in by_arm.items()
        if arm not in RIVALS and _cost(mine) <= budget
    }
    known = {arm: v for arm, v in candidates.items() if not math.isnan(v)}
    return max(known, key=lambda arm: known[arm]) if known else None


def markdown(records: Sequence[Record]) -> str:
    """The best arm less each primary rival, in Markdown; else empty."""
    best = best_arm(records)
    by_arm = summary.by_arm(records)
    rivals = [arm for arm in PRIMARY_RIVALS if arm in by_arm]
    if best is None or not rivals:
        return ""
    mine = summary.accuracy_by_seed(by_arm[best])
    lines = [
        f"Best arm of this package at the cost of `{_budget_arm(by_arm)}`, by "
        f"validation accuracy: `{best}`. Its test accuracy less that of each "
        "rival:",
        "",
        f"| `{best}` minus | points | seeds |",
        "| --- | --- | --- |",
    ]
    for rival in rivals:
        difference = paired_difference(
            mine, summary.accuracy_by_seed(by_arm[rival])
        )
        lines.append(
            f"| `{rival}` | {summary.percent_points(difference)} | "
            f"{difference.pairs if difference else 0} |"
        )
    lines += ["", f"{len(rivals)} comparisons, intervals not corrected for it."]
    return "\n".join(lines)


def _budget_arm(by_arm):
    return next((arm for arm in _BUDGETS if arm in by_arm), None)


def _cost(records):
    if not records:
        return math.nan
    return mean_and_std([record.flops_train for record in records])[0]


def _validation(records):
    values = [record.validation_accuracy for record in records]
    if any(value is None for value in values):
        return math.nan
    return mean_and_std(values)[0]
