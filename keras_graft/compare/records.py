"""The record of one arm and one seed, and the files that hold records."""

import json
import pathlib
from collections.abc import Iterable
from typing import Annotated

import msgspec

from keras_graft.checkpoint.strict_json import ContentError
from keras_graft.checkpoint.strict_json import parse
from keras_graft.checks.plain_files import read_plain
from keras_graft.runs.whole_files import write_atomically

# What the values of records and outcomes may be.
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Amount = Annotated[float, msgspec.Meta(ge=0)]
Count = Annotated[int, msgspec.Meta(ge=0)]


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one arm reached with one seed.

    Accuracies and the calibration error are in [0, 1]. Unless said
    otherwise they are those of what the arm ships, with its last weights.

    Attributes:
        arm: Name of the arm.
        description: What the arm is.
        seed: Seed of the run.
        dataset: Name of the dataset.
        model: Name of the architecture.
        num_networks: Networks that were trained together.
        epochs: Epochs of the run.
        train_examples: Images trained on, the validation split left out.
        flags: Flags with which `launch` repeats the run; paths are relative
            to the study.
        shipped: `network_<k>`, `average`, `mean` or `ensemble`.
        test_accuracy: On the whole test split.
        best_epoch_test_accuracy: Of the best epoch, chosen on the test
            split; None where there is a validation split.
        validation_accuracy: None without a validation split.
        best_epoch: Counted from 0, chosen on the validation split; None
            where only the last weights exist.
        best_validation_accuracy: Of that epoch.
        ensemble_test_accuracy: Of the mean of the live networks'
            probabilities.
        ece: Expected calibration error on the test split, 15 bins.
        invalid_filters: In the shipped networks.
        total_filters: Likewise.
        divergence: Mean Kullback-Leibler divergence between the live
            networks' test predictions, nats; None for one network.
        seconds: Wall-clock time of the training, the teacher's included.
        flops_train: Operations of the training, the teacher's included.
        flops_inference: Operations for one image of what is shipped.
        status: The networks' health at the end.
        versions: What it ran on.
    """

    arm: str
    description: str
    seed: int
    dataset: str
    model: str
    num_networks: Count
    epochs: Count
    train_examples: Count
    flags: list[str]
    shipped: str
    test_accuracy: Share
    best_epoch_test_accuracy: Share | None
    validation_accuracy: Share | None
    best_epoch: Count | None
    best_validation_accuracy: Share | None
    ensemble_test_accuracy: Share
    ece: Share
    invalid_filters: Count
    total_filters: Count
    divergence: Amount | None
    seconds: Amount
    flops_train: Count
    flops_inference: Count
    status: list[str]
    versions: dict[str, str]


def write(path: pathlib.Path, records: Iterable[Record]) -> None:
    """Writes a file of records whole, or leaves the old one alone."""
    rows = msgspec.to_builtins(list(records))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(rows, indent=1) + "\n")


def joined(parts: Iterable[Iterable[Record]]) -> list[Record]:
    """Records of several files, one for each arm and seed.

    Args:
        parts: Of each file its records; what a later one has again is left
            out.

    Raises:
        ValueError: If an arm and a seed are there with different flags.
    """
    kept: dict[tuple[str, int], Record] = {}
    for record in (record for part in parts for record in part):
        before = kept.setdefault((record.arm, record.seed), record)
        if before.flags != record.flags:
            raise ValueError(
                f"{record.arm} with seed {record.seed} is there twice, with "
                "other flags: these are records of two studies."
            )
    return list(kept.values())


def read(path: pathlib.Path) -> list[Record]:
    """Reads a file of records.

    Raises:
        ValueError: If the file is none, or one of another version.
    """
    try:
        return parse(read_plain(path), list[Record])
    except ContentError as error:
        raise ValueError(
            f"{path} holds no records of this version: {error}. Move it "
            "away, or take the version that wrote it."
        ) from error
