"""Validation accuracies of a search, and nothing that test images tell.

    python results/search/validation.py RECORDS.json ... [--against=ARM]

Prints for each arm the mean and the standard deviation over seeds, and the
mean difference to an arm by seed with a 95 % interval, in percentage points.
Records of several files are one study; an arm and a seed that are in two of
them must have the same flags.
"""

import argparse
import pathlib
import sys

from keras_graft.compare import records
from keras_graft.compare.statistics import mean_and_std
from keras_graft.compare.statistics import paired_difference


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("files", nargs="+", type=pathlib.Path)
    parser.add_argument(
        "--against",
        default="swa_long",
        help="The arm that differences are taken to.",
    )
    options = parser.parse_args(argv)
    try:
        found = by_arm(records.joined(map(records.read, options.files)))
    except (OSError, ValueError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    print("\n".join(table(found, options.against)))
    return 0


def by_arm(found) -> dict[str, dict[int, float]]:
    """Validation accuracy in percent by arm and seed.

    Args:
        found: Records, one for each arm and seed.

    Raises:
        ValueError: If an arm has no validation images.
    """
    arms: dict[str, dict[int, float]] = {}
    for record in found:
        if record.validation_accuracy is None:
            raise ValueError(f"{record.arm} has no validation accuracy.")
        by_seed = arms.setdefault(record.arm, {})
        by_seed[record.seed] = 100 * record.validation_accuracy
    return arms


def table(found: dict[str, dict[int, float]], against: str) -> list[str]:
    """Lines for the terminal, the best arm first."""
    lines = [
        f"{'arm':<28}{'validation':>18}{f'minus {against}':>28}  seeds",
    ]
    means = {arm: mean_and_std(list(v.values())) for arm, v in found.items()}
    for arm in sorted(found, key=lambda arm: -means[arm][0]):
        mean, std = means[arm]
        less = "-"
        difference = paired_difference(found[arm], found.get(against, {}))
        if difference is not None and arm != against:
            less = (
                f"{difference.mean:+.2f} [{difference.low:+.2f}, "
                f"{difference.high:+.2f}]"
            )
        seeds = ",".join(map(str, sorted(found[arm])))
        lines.append(
            f"{arm:<28}{f'{mean:.2f} +- {std:.2f}':>18}{less:>28}  {seeds}"
        )
    return lines


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
