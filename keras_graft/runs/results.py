"""What a run found: `results.json` and the closing summary."""

import dataclasses
import json
import math
import pathlib
from collections.abc import Sequence
from typing import Any
from typing import ClassVar

from keras_graft.data.names import SCORES
from keras_graft.runs.csv_tables import table_of

# By whether there is a validation split; what was chosen stands in the gaps.
_PROTOCOL = {
    True: (
        "Validation split cut from the training set: {chosen} chosen on it; "
        "test set used once, after the last epoch."
    ),
    False: (
        "No validation split: {chosen} chosen on the test set, as in the "
        "paper. {accuracy} is optimistic."
    ),
}
AVERAGED = (
    "The networks are averages of their weights over the last {} epochs; "
    "best_epoch and the history are of the weights before averaging."
)
SHIPS_MEAN = (
    "What is shipped is the mean of all live networks' weights; none of them "
    "was chosen."
)
STOPPED = "Stopped after {} epochs: the {} had not risen for {}."
_NO_BEST = "No accuracy of network_{} is a number, so that best_epoch is null."
# Stands for the name of the shipped network.
MEAN = "mean"


@dataclasses.dataclass(frozen=True)
class NetworkResult:
    """How one network ended.

    Attributes:
        name: `network_0`, ...
        status: `live`, `masked` or `retired`.
        test_accuracy: In [0, 1], with the weights that are saved.
        invalid_filters: Filters below the threshold in them.
        total_filters: All filters.
    """

    name: str
    status: str
    test_accuracy: float
    invalid_filters: int
    total_filters: int


@dataclasses.dataclass(frozen=True)
class Export:
    """A file that was written and checked.

    Attributes:
        file: Its name in the run directory.
        format: As `--export` names it.
        numbers: `"float32"` or `"int8"`.
        size: Bytes.
        images: Test images that it was checked on.
        largest_difference: Of its logits from Keras' on them.
        largest_logit: The largest magnitude of Keras' logits on them.
        test_accuracy: Of the file on them, in [0, 1].
        keras_test_accuracy: Of Keras on them, in float32.
    """

    file: str
    format: str
    numbers: str
    size: int
    images: int
    largest_difference: float
    largest_logit: float
    test_accuracy: float
    keras_test_accuracy: float


@dataclasses.dataclass(frozen=True)
class RunResults:
    """The content of `results.json`; docs/command_line.md has the contract."""

    score: ClassVar[str] = SCORES["classification"]
    ensemble: ClassVar[str] = "the mean of their probabilities"

    dataset: str
    model: str
    num_networks: int
    epochs: int
    trained_epochs: int
    seed: int
    seconds: float
    selected: str
    selected_by: str
    test_accuracy: float
    best_epoch: int | None
    best_epoch_test_accuracy: float | None
    networks: list[NetworkResult]
    ensemble_test_accuracy: float
    input: dict
    output: dict
    weights: dict | None
    class_names: list[str] | None
    exports: list[Export]
    protocol: str

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"


def read_history(path: pathlib.Path) -> dict[str, list[float]]:
    """Reads `history.csv`: for each log its value by epoch.

    Raises:
        RunError: If the file is none of a run.
    """
    with table_of(path) as rows:
        names, *values = rows
        columns = zip(*values, strict=True) if values else [()] * len(names)
        return {
            name: [float(value) for value in column]
            for name, column in zip(names, columns, strict=True)
        }


def best_epoch(by_epoch: Sequence[float]) -> int | None:
    """The first epoch with the largest value; None if none is a number."""
    finite = [k for k, value in enumerate(by_epoch) if math.isfinite(value)]
    return max(finite, key=by_epoch.__getitem__, default=None)


@dataclasses.dataclass(frozen=True)
class Measured:
    """What was measured of a run that has ended.

    Attributes:
        history: Its logs by epoch.
        selected: Position of the shipped network.
        statuses: The networks' status.
        test_logs: `trainer.evaluate` on the test split.
        invalid_filters: Invalid filters of each network as it is saved.
        total_filters: Filters of each network.
        seconds: Wall-clock time of the training.
        notes: Sentences about what was out of the ordinary.
        averaged: Number of last epochs whose weights were averaged; 0: the
            weights are those of the last epoch.
        mean_logs: Test logs of the mean of all networks, if that is
            shipped; else None.
        weights_digest: SHA-256 of the file that the networks began with, if
            there was one.
    """

    history: dict[str, list[float]]
    selected: int
    statuses: list[str]
    test_logs: dict[str, float]
    invalid_filters: list[int]
    total_filters: list[int]
    seconds: float
    notes: Sequence[str] = ()
    averaged: int = 0
    mean_logs: dict[str, float] | None = None
    weights_digest: str | None = None


def run_results(settings: Any, splits: Any, measured: Measured) -> RunResults:
    """Puts the results of a finished run together.

    Args:
        settings: The run's flags.
        splits: Its images.
        measured: What was measured of it.
    """
    history, selected = measured.history, measured.selected
    test_logs, averaged = measured.test_logs, measured.averaged
    single = settings.num_networks == 1
    validated = splits.validation is not None
    chosen_by = history[f"val_network_{selected}_accuracy"]
    best = best_epoch(chosen_by)
    done = len(chosen_by)
    accuracies = [
        float(test_logs[f"network_{k}_accuracy"])
        for k in range(settings.num_networks)
    ]
    networks = [
        NetworkResult(
            name=f"network_{k}",
            status=measured.statuses[k],
            test_accuracy=accuracies[k],
            invalid_filters=measured.invalid_filters[k],
            total_filters=measured.total_filters[k],
        )
        for k in range(settings.num_networks)
    ]
    notes = [AVERAGED.format(averaged)] if averaged else []
    if best is None:
        notes = [*notes, _NO_BEST.format(selected)]
    if done < settings.epochs:
        notes = [
            *notes,
            STOPPED.format(
                done,
                f"{'validation' if validated else 'test'} accuracy",
                settings.early_stopping,
            ),
        ]
    ships_mean = measured.mean_logs is not None
    if ships_mean:
        notes = [SHIPS_MEAN, *notes]
    notes = [_protocol(validated, single, ships_mean), *notes]
    return RunResults(
        dataset=settings.dataset,
        model=settings.model,
        num_networks=settings.num_networks,
        epochs=settings.epochs,
        trained_epochs=done,
        seed=settings.seed,
        seconds=round(measured.seconds, 1),
        selected=MEAN if ships_mean else f"network_{selected}",
        selected_by="val_accuracy" if validated else "test_accuracy",
        test_accuracy=(
            measured.mean_logs["accuracy"]
            if measured.mean_logs
            else accuracies[selected]
        ),
        best_epoch=best,
        best_epoch_test_accuracy=(
            None if validated or best is None else chosen_by[best]
        ),
        networks=networks,
        ensemble_test_accuracy=(
            accuracies[0] if single else float(test_logs["ensemble_accuracy"])
        ),
        input={
            "shape": list(splits.train.images.shape[1:]),
            "dtype": "uint8",
            "range": [0, 255],
        },
        output={"kind": "logits", "classes": splits.num_classes},
        weights=_weights(settings, measured.weights_digest),
        class_names=(
            None if splits.class_names is None else list(splits.class_names)
        ),
        exports=[],
        protocol=" ".join([*notes, *measured.notes]),
    )


def _weights(settings, digest):
    """What the networks began with, and which of it was trained."""
    if settings.weights is None:
        return None
    return {
        "from": settings.weights,
        "sha256": digest,
        "freeze": settings.freeze,
        "unfreeze_epoch": settings.unfreeze_epoch,
        "backbone_rate": settings.backbone_rate,
    }


def _protocol(validated, single, ships_mean):
    chosen, accuracy = "best_epoch was", "best_epoch_test_accuracy"
    if ships_mean:
        chosen = "best_epoch and the network that it is of were"
    elif not single:
        chosen = "the shipped network and best_epoch were"
        accuracy = "Such an accuracy"
    return _PROTOCOL[validated].format(chosen=chosen, accuracy=accuracy)


def summary(
    results: RunResults,
    invalid_before: list[int],
    path: pathlib.Path,
    averaged: int = 0,
) -> str:
    """What a person wants to know when a run ends.

    Args:
        results: The run's results.
        invalid_before: Invalid filters of each network before training.
        path: The shipped network's file.
        averaged: As for `run_results`.

    Returns:
        Text of a few lines.
    """
    by = "validation" if results.selected_by == "val_accuracy" else "test"
    when = f"averaged over {averaged} epochs" if averaged else "last epoch"
    lines = [
        "",
        f"Shipped: the mean of {results.num_networks} networks' weights "
        f"({when})."
        if results.selected == MEAN
        else f"Shipped: {results.selected}, the best of "
        f"{results.num_networks} on the {by} images ({when})."
        if results.num_networks > 1
        else f"Shipped: {results.selected}, the only network ({when}).",
        f"  file              {path}",
        f"  test accuracy     {results.test_accuracy:.4f}",
    ]
    if results.num_networks > 1:
        lines.append(
            f"  ensemble          {results.ensemble_test_accuracy:.4f} test "
            f"accuracy, at {results.num_networks} times the inference cost"
        )
    if results.best_epoch_test_accuracy is not None:
        lines.append(
            f"  best epoch        {results.best_epoch_test_accuracy:.4f} at "
            f"epoch {results.best_epoch}, chosen on the test images"
        )
    lines += [
        "",
        "  network     test accuracy  invalid filters before -> after  status",
    ]
    for network, before in zip(results.networks, invalid_before, strict=True):
        filters = f"{before} -> {network.invalid_filters}"
        lines.append(
            f"  {network.name:<11} {network.test_accuracy:<14.4f} "
            f"{filters} of {network.total_filters:<{22 - len(filters)}} "
            f"{network.status}"
        )
    return "\n".join([*lines, *_export_lines(results.exports)])


def _export_lines(exports):
    if not exports:
        return []
    first = exports[0]
    return [
        "",
        f"  exported, on {first.images} test images (Keras "
        f"{first.keras_test_accuracy:.4f}, logits up to "
        f"{first.largest_logit:.1f})",
        "  file                  test accuracy  largest difference  size",
        *(
            f"  {e.file:<21} {e.test_accuracy:<14.4f} "
            f"{e.largest_difference:<19.2g} {e.size / 1e6:.2f} MB"
            for e in exports
        ),
    ]
