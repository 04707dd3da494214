"""What a run of recognition found: `results.json` and the closing summary."""

import dataclasses
import html
import json
import math
import os
from typing import Any
from typing import ClassVar

from keras_graft.data.names import SCORES
from keras_graft.runs.results import AVERAGED
from keras_graft.runs.results import MEAN
from keras_graft.runs.results import SHIPS_MEAN
from keras_graft.runs.results import STOPPED
from keras_graft.runs.results import Measured
from keras_graft.runs.results import best_epoch

METRICS = ("mAP", "mINP", "rank_1", "rank_5", "rank_10")
_PROTOCOL = {
    True: (
        "Identities held out of the training set: {chosen} chosen on them; "
        "query and gallery used once, after the last epoch."
    ),
    False: (
        "No identities held out: {chosen} chosen on query and gallery, for "
        "which {number} is optimistic."
    ),
}
_NO_BEST = "No mAP of network_{} is a number, so that best_epoch is null."
_ENSEMBLE = "all embeddings one after the other"


@dataclasses.dataclass(frozen=True)
class RetrievalNetwork:
    """How one network ended.

    Attributes:
        name: `network_0`, ...
        status: `live`, `masked` or `retired`.
        mAP: In [0, 1], with the weights that are saved, like `mINP`,
            `rank_1`, `rank_5` and `rank_10`; None if its embeddings are not
            finite.
        invalid_filters: Filters below the threshold in them.
        total_filters: All filters.
    """

    name: str
    status: str
    mAP: float | None
    mINP: float | None
    rank_1: float | None
    rank_5: float | None
    rank_10: float | None
    invalid_filters: int
    total_filters: int


@dataclasses.dataclass(frozen=True)
class RetrievalResults:
    """The content of `results.json`; docs/command_line.md has the contract."""

    score: ClassVar[str] = SCORES["recognition"]
    ensemble: ClassVar[str] = _ENSEMBLE

    task: str
    dataset: str
    judged_on: str
    model: str
    num_networks: int
    epochs: int
    trained_epochs: int
    seed: int
    seconds: float
    selected: str
    selected_by: str
    mAP: float | None
    mINP: float | None
    rank_1: float | None
    rank_5: float | None
    rank_10: float | None
    best_epoch: int | None
    best_epoch_mAP: float | None
    networks: list[RetrievalNetwork]
    ensemble_mAP: float | None
    ensemble_mINP: float | None
    ensemble_rank_1: float | None
    ensemble_rank_5: float | None
    ensemble_rank_10: float | None
    identities: int
    queries: int
    gallery: int
    input: dict
    output: dict
    protocol: str

    def to_json(self) -> str:
        found = dataclasses.asdict(self)
        return json.dumps(found, indent=2, allow_nan=False) + "\n"


def run_results(
    task: Any, embedding_size: int, measured: Measured
) -> RetrievalResults:
    """Puts the results of a finished run together.

    Args:
        task: The `Recognition` of the run.
        embedding_size: Numbers in an embedding.
        measured: What was measured of it.
    """
    settings, selected = task.settings, measured.selected
    chosen_by = measured.history[f"val_network_{selected}_mAP"]
    best = best_epoch(chosen_by)
    done = len(chosen_by)
    networks = [
        RetrievalNetwork(
            name=f"network_{k}",
            status=measured.statuses[k],
            invalid_filters=measured.invalid_filters[k],
            total_filters=measured.total_filters[k],
            **_of(measured.test_logs, f"network_{k}_"),
        )
        for k in range(settings.num_networks)
    ]
    ships_mean = measured.mean_logs is not None
    notes = [AVERAGED.format(measured.averaged)] if measured.averaged else []
    if best is None:
        notes = [*notes, _NO_BEST.format(selected)]
    if done < settings.epochs:
        held = "held-out" if settings.validation_fraction else "judged"
        notes = [
            *notes,
            STOPPED.format(
                done, f"mAP of the {held} identities", settings.early_stopping
            ),
        ]
    if ships_mean:
        notes = [SHIPS_MEAN, *notes]
    shipped = _of(measured.test_logs, f"network_{selected}_")
    if measured.mean_logs is not None:
        shipped = _of(measured.mean_logs, "")
    together = _of(measured.test_logs, "ensemble_")
    people = task.people
    return RetrievalResults(
        task=settings.task,
        dataset=settings.dataset,
        judged_on=settings.judged_on or settings.dataset,
        model=settings.model,
        num_networks=settings.num_networks,
        epochs=settings.epochs,
        trained_epochs=done,
        seed=settings.seed,
        seconds=round(measured.seconds, 1),
        selected=MEAN if ships_mean else f"network_{selected}",
        selected_by="val_mAP" if task.is_validated else "test_mAP",
        **shipped,
        best_epoch=best,
        best_epoch_mAP=(
            None if task.is_validated or best is None else chosen_by[best]
        ),
        networks=networks,
        **{f"ensemble_{name}": value for name, value in together.items()},
        identities=task.train.num_identities,
        queries=len(people.query),
        gallery=len(people.gallery),
        input={
            "shape": list(task.train.images.shape[1:]),
            "dtype": "uint8",
            "range": [0, 255],
        },
        output={
            "kind": "embedding",
            "size": embedding_size,
            "metric": "cosine",
        },
        protocol=" ".join(
            [
                _protocol(task.is_validated, settings.num_networks, ships_mean),
                *people.notes,
                *notes,
            ]
            + list(measured.notes)
        ),
    )


def _protocol(validated, num_networks, ships_mean):
    chosen, number = "best_epoch was", "best_epoch_mAP"
    if ships_mean:
        chosen = "best_epoch and the network that it is of were"
    elif num_networks > 1:
        chosen = "the shipped network and best_epoch were"
        number = "such a number"
    return _PROTOCOL[validated].format(chosen=chosen, number=number)


def _of(logs, prefix):
    values = {name: float(logs[f"{prefix}{name}"]) for name in METRICS}
    return {
        name: value if math.isfinite(value) else None
        for name, value in values.items()
    }


def title(results: RetrievalResults) -> str:
    """What a run is called, for people."""
    return f"{results.num_networks} x {results.model} on {results.dataset}"


def shown(value: float | None) -> str:
    """A metric as a text."""
    return "none" if value is None else f"{value:.4f}"


def introduction(results: RetrievalResults) -> list[str]:
    """What a page tells first: what ships, and every network's metrics."""
    head = "".join(f"<th>{name.replace('_', ' ')}</th>" for name in METRICS)
    rows = [
        (n.name, [getattr(n, name) for name in METRICS], n)
        for n in results.networks
    ]
    if results.num_networks > 1:
        together = [getattr(results, f"ensemble_{name}") for name in METRICS]
        rows.append(("ensemble", together, None))
    cells = "".join(
        f"<tr class='{'shipped' if name == results.selected else ''}'>"
        f"<td>{name}</td>{''.join(f'<td>{shown(v)}</td>' for v in values)}"
        + (
            f"<td>{one.invalid_filters} of {one.total_filters}</td>"
            f"<td>{one.status}</td></tr>"
            if one
            else "<td></td><td></td></tr>"
        )
        for name, values, one in rows
    )
    return [
        f"<p>{results.selected} is shipped after {results.trained_epochs} "
        f"epochs ({results.seconds:.0f} s) on {results.identities} identities. "
        f"{html.escape(results.protocol)}</p>",
        f"<table><tr><th>network</th>{head}<th>invalid filters</th>"
        f"<th>status</th></tr>{cells}</table>",
    ]


def summary(
    results: RetrievalResults,
    invalid_before: list[int],
    path: os.PathLike,
    averaged: int = 0,
) -> str:
    """What a person wants to know when a run ends.

    Args:
        results: The run's results.
        invalid_before: Invalid filters of each network before training.
        path: The shipped network's file.
        averaged: As for `Measured`.

    Returns:
        Text of a few lines.
    """
    where = "held-out" if results.selected_by == "val_mAP" else "judged"
    when = f"averaged over {averaged} epochs" if averaged else "last epoch"
    which = (
        f"the mean of {results.num_networks} networks' weights"
        if results.selected == MEAN
        else f"{results.selected}, the only network"
        if results.num_networks == 1
        else f"{results.selected}, the best of {results.num_networks} on the "
        f"{where} identities"
    )
    lines = [
        "",
        f"Shipped: {which} ({when}).",
        f"  file              {path}",
        f"  mAP               {shown(results.mAP)}",
        f"  rank 1            {shown(results.rank_1)}",
    ]
    if results.num_networks > 1:
        lines.append(
            f"  ensemble          {shown(results.ensemble_mAP)} mAP, "
            f"{_ENSEMBLE}: {results.num_networks} times as long"
        )
    if results.best_epoch_mAP is not None:
        lines.append(
            f"  best epoch        {results.best_epoch_mAP:.4f} at epoch "
            f"{results.best_epoch}, chosen on query and gallery"
        )
    lines += [
        "",
        "  network     mAP     rank 1  invalid filters before -> after  status",
    ]
    for network, before in zip(results.networks, invalid_before, strict=True):
        filters = f"{before} -> {network.invalid_filters}"
        lines.append(
            f"  {network.name:<11} {shown(network.mAP):<7} "
            f"{shown(network.rank_1):<7} "
            f"{filters} of {network.total_filters:<{22 - len(filters)}} "
            f"{network.status}"
        )
    return "\n".join(lines)
