"""What is known of the filters of a network: a report, and its table."""

import dataclasses
import json
import math
import os
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_graft.diagnosis import pictures
from keras_graft.diagnosis.filter_norms import DEFINITION
from keras_graft.diagnosis.table import aligned
from keras_graft.diagnosis.table import counted
from keras_graft.diagnosis.table import number
from keras_graft.diagnosis.table import paragraph

# A gamma starts at 1. Below this its channel is all but constant.
GAMMA_THRESHOLD = 0.01


@dataclasses.dataclass(frozen=True)
class LayerDiagnosis:
    """One convolution kernel.

    Attributes:
        name: The layers from the model down, joined by `/`, with the weight's
            name where a layer has two kernels.
        kind: Class of the layer, such as `"Conv2D"`.
        filters: Number of filters.
        invalid: From each threshold to the number of invalid filters.
        l1_mean: Mean l1 norm of the filters.
        l1_min: Smallest one.
        l1_max: Largest one.
        entropy: Of the whole kernel, in nats, in [0, log(10)].
        near_zero_gammas: Channels whose gamma, in the BatchNormalization that
            the convolution feeds, is below `GAMMA_THRESHOLD` in size; None
            where there is none.
        never_fire: Filters whose channel is above zero nowhere in the batch;
            None without data, or where the graph does not show the channel.
        fires_after: Name of the layer after which that was read, or None.
    """

    name: str
    kind: str
    filters: int
    invalid: Mapping[float, int]
    l1_mean: float
    l1_min: float
    l1_max: float
    entropy: float
    near_zero_gammas: int | None
    never_fire: int | None
    fires_after: str | None


@dataclasses.dataclass(frozen=True)
class Totals:
    """All kernels of a network.

    Attributes:
        kernels: Number of kernels.
        filters: Number of filters.
        invalid: From each threshold to the number of invalid filters.
        l1_mean: Mean l1 norm over all filters.
        l1_min: Smallest one.
        l1_max: Largest one.
        entropy: Sum over the kernels, in nats: the paper's information of a
            network.
        near_zero_gammas: Sum over the kernels, None where no kernel has one.
        gammas: Filters that a gamma was found for.
        never_fire: Sum over the kernels, None where no kernel has one.
        watched: Filters whose output was seen on the batch.
    """

    kernels: int
    filters: int
    invalid: Mapping[float, int]
    l1_mean: float
    l1_min: float
    l1_max: float
    entropy: float
    near_zero_gammas: int | None
    gammas: int
    never_fire: int | None
    watched: int


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """What `diagnose` found. Prints as a table.

    Attributes:
        name: The model's name.
        thresholds: l1 norms below which a filter is invalid, falling.
        layers: One `LayerDiagnosis` for each convolution kernel.
        skipped: Pairs (path, reason) of kernels that were left out.
        without_kernel: From the class of layers that have weights but no
            convolution kernel to their number.
        examples: Number of examples that were run, or None.
    """

    name: str
    thresholds: tuple[float, ...]
    layers: tuple[LayerDiagnosis, ...]
    skipped: tuple[tuple[str, str], ...]
    without_kernel: Mapping[str, int]
    examples: int | None

    @property
    def totals(self) -> Totals:
        """The sums over all kernels."""
        layers = self.layers
        filters = sum(layer.filters for layer in layers)
        total_l1 = sum(layer.l1_mean * layer.filters for layer in layers)
        near_zero, gammas = _sum_known(layers, "near_zero_gammas")
        never_fire, watched = _sum_known(layers, "never_fire")
        return Totals(
            kernels=len(layers),
            filters=filters,
            invalid={
                threshold: sum(layer.invalid[threshold] for layer in layers)
                for threshold in self.thresholds
            },
            l1_mean=total_l1 / filters,
            l1_min=float(np.min([layer.l1_min for layer in layers])),
            l1_max=float(np.max([layer.l1_max for layer in layers])),
            entropy=sum(layer.entropy for layer in layers),
            near_zero_gammas=near_zero,
            gammas=gammas,
            never_fire=never_fire,
            watched=watched,
        )

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values that JSON can hold.

        A number that is not finite becomes None, and a threshold a text such
        as `"0.1"`.
        """
        return plain(
            {
                "name": self.name,
                "definition": DEFINITION,
                "thresholds": self.thresholds,
                "gamma_threshold": GAMMA_THRESHOLD,
                "examples": self.examples,
                "totals": dataclasses.asdict(self.totals),
                "layers": [dataclasses.asdict(layer) for layer in self.layers],
                "skipped": [
                    {"name": name, "reason": why} for name, why in self.skipped
                ],
                "without_kernel": self.without_kernel,
            }
        )

    def to_json(self, path: str | os.PathLike) -> None:
        """Writes `to_dict()` to a file.

        Args:
            path: The file; its folder must exist.
        """
        write_json(self.to_dict(), path)

    def plot(self, path: str | os.PathLike) -> None:
        """Draws invalid filters and l1 norms by layer.

        Args:
            path: A `.png`, `.svg` or `.pdf` file; its folder must exist.
        """
        pictures.draw_layers(self, path)

    def __str__(self) -> str:
        totals = self.totals
        columns = self._columns()
        rows = [["layer", "kind", *columns]]
        for layer in self.layers:
            cells = [number(cell(layer)) for cell in columns.values()]
            rows.append([layer.name, layer.kind, *cells])
        cells = [number(cell(totals)) for cell in columns.values()]
        rows.append(["total", counted(totals.kernels, "kernel"), *cells])
        return "\n".join(
            [
                f"{self.name}: {counted(totals.filters, 'filter')} in "
                + counted(totals.kernels, "convolution kernel"),
                "",
                aligned(rows, left=2),
                "",
                *map(paragraph, self._notes(totals)),
            ]
        )

    def _columns(self) -> dict[str, Callable]:
        columns = {"filters": lambda row: row.filters}
        for threshold in self.thresholds:
            columns[f"l1<{threshold:g}"] = lambda row, threshold=threshold: (
                row.invalid[threshold]
            )
        columns["l1 mean"] = lambda row: row.l1_mean
        columns["l1 min"] = lambda row: row.l1_min
        columns["l1 max"] = lambda row: row.l1_max
        columns["entropy"] = lambda row: row.entropy
        columns["gamma~0"] = lambda row: row.near_zero_gammas
        if self.examples is not None:
            columns["never fire"] = lambda row: row.never_fire
        return columns

    def _notes(self, totals: Totals) -> list[str]:
        notes = [
            DEFINITION,
            "entropy: of a whole kernel, 10 bins, in nats; its total is the "
            "sum.",
            f"gamma~0: |gamma| below {GAMMA_THRESHOLD:g} in the "
            "BatchNormalization that the convolution feeds, for "
            f"{totals.gammas:,} of {totals.filters:,} filters; '-' where "
            "there is none.",
        ]
        if self.examples is not None:
            notes.append(
                "never fire: the filter's channel, after the "
                "BatchNormalization and the activation that follow it "
                "directly, is above zero at no position of any of the "
                f"{counted(self.examples, 'example')}. Seen for "
                f"{totals.watched:,} of {totals.filters:,} filters; '-' where "
                "the graph does not show the channel."
            )
        diverged = [
            layer.name
            for layer in self.layers
            if not math.isfinite(layer.l1_mean)
        ]
        if diverged:
            notes.append(
                "Weights that are not finite, counted as invalid: "
                f"{', '.join(diverged)}."
            )
        if self.without_kernel:
            kinds = ", ".join(
                f"{count} {kind}" for kind, count in self.without_kernel.items()
            )
            layers = counted(sum(self.without_kernel.values()), "layer")
            notes.append(
                f"Skipped: {layers} without a convolution kernel ({kinds})."
            )
        by_reason: dict[str, list[str]] = {}
        for path, reason in self.skipped:
            by_reason.setdefault(reason, []).append(path)
        for reason, paths in by_reason.items():
            notes.append(
                f"Skipped: {counted(len(paths), 'convolution kernel')}, since "
                f"{reason}: {', '.join(paths)}."
            )
        return notes


def plain(value: Any) -> Any:
    """A nested value as JSON can hold it; what is not finite becomes None."""
    if isinstance(value, Mapping):
        return {
            f"{key:g}" if isinstance(key, float) else key: plain(item)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def write_json(value: Any, path: str | os.PathLike) -> None:
    """Writes a value as indented JSON."""
    with open(path, "w", encoding="utf-8") as file:
        json.dump(value, file, indent=2, allow_nan=False)
        file.write("\n")


def _sum_known(
    layers: Sequence[LayerDiagnosis], attribute: str
) -> tuple[int | None, int]:
    """Sums what is known, and counts the filters that it is known for."""
    known = [row for row in layers if getattr(row, attribute) is not None]
    if not known:
        return None, 0
    total = sum(getattr(row, attribute) for row in known)
    return total, sum(row.filters for row in known)
