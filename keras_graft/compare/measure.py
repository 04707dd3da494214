"""What a finished run is worth: its networks' files -> its records."""

import functools
import json
from typing import Any

import keras
import numpy as np

from keras_graft import diagnosis
from keras_graft.checkpoint.versions import versions
from keras_graft.checks.plain_files import read_plain
from keras_graft.compare.arms import Arm
from keras_graft.compare.outcomes import Answers
from keras_graft.compare.outcomes import portable_flags
from keras_graft.compare.records import Record
from keras_graft.compare.statistics import expected_calibration_error
from keras_graft.compare.study import Run
from keras_graft.diagnosis.divergence import prediction_divergence
from keras_graft.runs import results
from keras_graft.runs.batches import steps_per_epoch
from keras_graft.runs.networks import build
from keras_graft.runs.run_directory import RunDirectory
from keras_graft.structure.flops import inference_flops
from keras_graft.structure.flops import training_flops

# Pixels of a batch: 1000 images of 32x32. Larger ones would fill the memory.
_BATCH_PIXELS = 1000 * 32 * 32
_MOST_IN_A_BATCH = 1000


@functools.cache
def model_flops(
    name: str, num_classes: int, input_shape: tuple[int, ...]
) -> int:
    """Operations for one image of an architecture."""
    return inference_flops(*build(name, num_classes, input_shape))


def run_flops(run: Run, settings: Any, splits: Any) -> int:
    """Operations of a run, without its teacher's training.

    Args:
        run: A run of a study.
        settings: The run's flags.
        splits: Its images.
    """
    shape = (splits.num_classes, splits.train.images.shape[1:])
    steps = steps_per_epoch(settings, splits)
    return training_flops(
        model_flops(settings.model, *shape),
        settings.epochs * steps * settings.batch_size,
        settings.num_networks,
        model_flops(run.teacher_model, *shape) if run.teacher_model else 0,
    )


def records_of(
    run: Run, settings: Any, splits: Any, seconds: float, flops: int
) -> tuple[list[Record], Answers]:
    """The records of the arms that read a run, and what they had right.

    Args:
        run: A run whose networks are saved in its folder.
        settings: Its flags.
        splits: Its images.
        seconds: Time of the training, the teacher's included.
        flops: Operations of the training, the teacher's included.
    """
    directory = RunDirectory(run.folder)
    files = directory.networks(settings.num_networks)
    selected, status = _selected(directory)
    if selected is None:
        # The mean of all stands behind them.
        selected = len(files)
        files.append(directory.shipped)
    networks = [keras.models.load_model(f, compile=False) for f in files]
    test = [_probabilities(n, splits.test) for n in networks]
    validation = None
    if splits.validation is not None:
        validation = [_probabilities(n, splits.validation) for n in networks]
    live = [k for k, health in enumerate(status) if health == "live"]
    history = results.read_history(directory.history)
    found, right = [], {}
    for arm in run.arms:
        ships = live if arm.ensemble else [selected]
        shipped_test = np.mean([test[k] for k in ships], axis=0)
        right[arm.name] = (
            np.packbits(shipped_test.argmax(axis=-1) == splits.test.labels)
            .tobytes()
            .hex()
        )
        totals = [
            diagnosis.diagnose(
                networks[k], thresholds=(settings.invalid_threshold,)
            ).totals
            for k in ships
        ]
        found.append(
            Record(
                arm=arm.name,
                description=arm.description,
                seed=settings.seed,
                dataset=settings.dataset,
                model=settings.model,
                num_networks=settings.num_networks,
                epochs=settings.epochs,
                train_examples=len(splits.train),
                flags=portable_flags(settings, run),
                shipped=_shipped_name(arm, selected, len(status)),
                test_accuracy=_accuracy(shipped_test, splits.test),
                **_by_validation(arm, ships, validation, splits, history),
                ensemble_test_accuracy=_accuracy(
                    np.mean([test[k] for k in live], axis=0), splits.test
                ),
                ece=expected_calibration_error(
                    shipped_test, splits.test.labels
                ),
                invalid_filters=sum(
                    t.invalid[settings.invalid_threshold] for t in totals
                ),
                total_filters=sum(t.filters for t in totals),
                divergence=(
                    prediction_divergence([test[k] for k in live])
                    if len(live) > 1
                    else None
                ),
                seconds=round(seconds, 1),
                flops_train=flops,
                flops_inference=sum(
                    inference_flops(networks[k]) for k in ships
                ),
                status=status,
                versions=versions(),
            )
        )
    return found, Answers(len(splits.test), splits.test.checksum(), right)


def last_validation_accuracy(run: Run) -> float:
    """Validation accuracy of network 0 after the last epoch."""
    history = results.read_history(RunDirectory(run.folder).history)
    return history["val_network_0_accuracy"][-1]


def _probabilities(network, split):
    height, width = split.images.shape[1:3]
    batch = max(1, min(_MOST_IN_A_BATCH, _BATCH_PIXELS // (height * width)))
    starts = range(0, len(split), batch)
    logits = np.concatenate(
        [network(split.images[i : i + batch], training=False) for i in starts]
    ).astype("float64")
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def _accuracy(probabilities, split):
    return float(np.mean(probabilities.argmax(axis=-1) == split.labels))


def _selected(directory):
    found = json.loads(read_plain(directory.results))
    names = [network["name"] for network in found["networks"]]
    statuses = [network["status"] for network in found["networks"]]
    if found["selected"] == results.MEAN:
        return None, statuses
    return names.index(found["selected"]), statuses


def _shipped_name(arm: Arm, selected, num_networks):
    if arm.ensemble:
        return "ensemble"
    if selected == num_networks:
        return results.MEAN
    return "average" if arm.average else f"network_{selected}"


def _by_validation(arm, ships, validation, splits, history):
    """The record's fields that need another split or another epoch."""
    found = dict.fromkeys(
        (
            "validation_accuracy",
            "best_epoch",
            "best_validation_accuracy",
            "best_epoch_test_accuracy",
        )
    )
    if validation is not None:
        found["validation_accuracy"] = _accuracy(
            np.mean([validation[k] for k in ships], axis=0), splits.validation
        )
    key = "ensemble" if arm.ensemble else f"network_{ships[0]}"
    by_epoch = history.get(f"val_{key}_accuracy")
    if arm.average or by_epoch is None:
        return found  # No average, and no mean, before the last epoch.
    found["best_epoch"] = epoch = results.best_epoch(by_epoch)
    if epoch is None:
        return found
    best = "best_epoch_test" if validation is None else "best_validation"
    found[f"{best}_accuracy"] = by_epoch[epoch]
    return found
