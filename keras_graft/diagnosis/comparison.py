"""Several networks side by side, filter by filter."""

import dataclasses
import os
from collections.abc import Iterable
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_graft.diagnosis import pictures
from keras_graft.diagnosis.counting import THRESHOLDS
from keras_graft.diagnosis.counting import diagnose
from keras_graft.diagnosis.diagnosis import Diagnosis
from keras_graft.diagnosis.diagnosis import plain
from keras_graft.diagnosis.diagnosis import write_json
from keras_graft.diagnosis.filter_norms import DEFINITION
from keras_graft.diagnosis.filter_norms import check_thresholds
from keras_graft.diagnosis.filter_norms import is_valid
from keras_graft.diagnosis.kernels import kernels_to_read
from keras_graft.diagnosis.kernels import norms_of_filters
from keras_graft.diagnosis.table import aligned
from keras_graft.diagnosis.table import number
from keras_graft.diagnosis.table import paragraph
from keras_graft.structure.conv_layers import structure_differences
from keras_graft.structure.printable import printable

_CAUTION = (
    "at random: mean l1 to expect if as many filters of each kernel were "
    "drawn at random. Networks that were initialised apart do not keep the "
    "same filter at the same position, and come close to it: for them a value "
    "above that of the reference is no sign of revived filters."
)


@dataclasses.dataclass(frozen=True)
class PositionSet:
    """The positions that the reference calls valid, or invalid.

    Attributes:
        threshold: l1 norm below which a filter is invalid.
        valid: Which of the two sets this is.
        filters: Number of positions.
        l1_means: Mean l1 norm at these positions, for each model; None where
            the set is empty.
        random_l1_means: Its expected value if as many positions of each
            kernel were drawn at random; None likewise.
    """

    threshold: float
    valid: bool
    filters: int
    l1_means: tuple[float | None, ...]
    random_l1_means: tuple[float | None, ...]


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What `compare` found. Prints as a table.

    Attributes:
        names: A name for each model.
        reference: Position of the model that decides which filters are
            valid.
        thresholds: l1 norms below which a filter is invalid, falling.
        diagnoses: The `Diagnosis` of each model.
        sets: Two `PositionSet`s for each threshold: valid, then invalid.
    """

    names: tuple[str, ...]
    reference: int
    thresholds: tuple[float, ...]
    diagnoses: tuple[Diagnosis, ...]
    sets: tuple[PositionSet, ...]

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values that JSON can hold."""
        return plain(
            {
                "names": self.names,
                "reference": self.names[self.reference],
                "definition": DEFINITION,
                "thresholds": self.thresholds,
                "totals": [
                    dataclasses.asdict(diagnosis.totals)
                    for diagnosis in self.diagnoses
                ],
                "positions": [dataclasses.asdict(row) for row in self.sets],
                "models": [d.to_dict() for d in self.diagnoses],
            }
        )

    def to_json(self, path: str | os.PathLike) -> None:
        """Writes `to_dict()` to a file.

        Args:
            path: The file; its folder must exist.
        """
        write_json(self.to_dict(), path)

    def plot(self, path: str | os.PathLike) -> None:
        """Draws invalid filters and both mean l1 norms by model.

        Args:
            path: A `.png`, `.svg` or `.pdf` file; its folder must exist.
        """
        pictures.draw_comparison(self, path)

    def __str__(self) -> str:
        return "\n".join(
            [
                aligned(self._totals()),
                "",
                "Mean l1 norm of the filters at the positions that are valid, "
                f"or invalid, in {self.names[self.reference]}:",
                "",
                aligned(self._positions(), left=2),
                "",
                paragraph(DEFINITION),
                paragraph(_CAUTION),
            ]
        )

    def _totals(self):
        rows = [["model", "filters"]]
        rows[0] += [f"l1<{threshold:g}" for threshold in self.thresholds]
        rows[0] += ["l1 mean", "l1 min", "l1 max", "entropy", "gamma~0"]
        for name, diagnosis in zip(self.names, self.diagnoses, strict=True):
            totals = diagnosis.totals
            cells = [number(totals.filters)]
            for count in totals.invalid.values():
                cells.append(f"{count:,} ({count / totals.filters:.1%})")
            for value in (
                totals.l1_mean,
                totals.l1_min,
                totals.l1_max,
                totals.entropy,
                totals.near_zero_gammas,
            ):
                cells.append(number(value))
            rows.append([name, *cells])
        return rows

    def _positions(self):
        """The two sets of a threshold in one row per model, as published."""
        rows = [
            [
                "threshold",
                "model",
                "valid",
                "mean l1",
                "invalid",
                "mean l1",
                "at random",
            ]
        ]
        for valid, invalid in zip(self.sets[::2], self.sets[1::2], strict=True):
            for k, name in enumerate(self.names):
                rows.append(
                    [
                        "" if k else f"{valid.threshold:g}",
                        name,
                        "" if k else number(valid.filters),
                        number(valid.l1_means[k]),
                        "" if k else number(invalid.filters),
                        number(invalid.l1_means[k]),
                        number(invalid.random_l1_means[k]),
                    ]
                )
        return rows


def compare(
    models: Sequence[keras.Model],
    thresholds: Iterable[float] = THRESHOLDS,
    reference: int = 0,
    names: Sequence[str] | None = None,
) -> Comparison:
    """Compares networks at the filters that one of them calls invalid.

    The analysis of arXiv 2004.12311, section 4.3: a trained baseline decides
    which positions are valid, and the mean l1 norm of both sets is taken in
    every network.

    Args:
        models: Built models of one architecture, at least one.
        thresholds: l1 norms below which a filter is invalid, above 0.
            Defaults to `(1.0, 0.1, 0.01, 0.001)`.
        reference: Position of the model that decides. Defaults to 0.
        names: A name for each model, for the table. Defaults to `model_0`,
            `model_1`, ....

    Returns:
        A `Comparison`.

    Raises:
        ValueError: If architectures differ (each difference is listed), or
            an argument is out of range.
    """
    models = list(models)
    if not 0 <= reference < len(models):
        raise ValueError(
            "`reference` must be the position of one of the "
            f"{len(models)} models. Received: {reference}"
        )
    if names is None:
        names = [f"model_{k}" for k in range(len(models))]
    if len(names) != len(models):
        raise ValueError(
            f"`names` must name each of the {len(models)} models. Received: "
            f"{list(names)}"
        )
    thresholds = check_thresholds(thresholds)
    diagnoses = tuple(diagnose(model, thresholds) for model in models)
    differences = structure_differences(models)
    if differences:
        raise ValueError(
            "Filters can be compared by position only between networks of "
            "one architecture. These differ (diagnose them one by one):\n  "
            + "\n  ".join(differences)
        )
    norms = [_norms_by_kernel(model) for model in models]
    sets = []
    for threshold in thresholds:
        valid = [is_valid(kernel, threshold) for kernel in norms[reference]]
        invalid = [~chosen for chosen in valid]
        sets.append(_position_set(threshold, True, valid, norms))
        sets.append(_position_set(threshold, False, invalid, norms))
    return Comparison(
        tuple(map(printable, names)),
        reference,
        thresholds,
        diagnoses,
        tuple(sets),
    )


def _norms_by_kernel(model):
    kernels, _ = kernels_to_read(model)
    return [norms_of_filters(kernel) for kernel in kernels]


def _position_set(threshold, valid, chosen, norms):
    """Means over the chosen filters of each kernel, for each model."""
    counts = np.array([kernel.sum() for kernel in chosen])
    filters = int(counts.sum())
    means, random_means = [], []
    for by_kernel in norms:
        if not filters:
            means.append(None)
            random_means.append(None)
            continue
        picked = np.concatenate(by_kernel)[np.concatenate(chosen)]
        kernel_means = np.array([kernel.mean() for kernel in by_kernel])
        means.append(float(picked.mean()))
        random_means.append(float(counts @ kernel_means / filters))
    return PositionSet(
        threshold, valid, filters, tuple(means), tuple(random_means)
    )
