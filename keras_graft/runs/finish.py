"""The end of a run: what is shipped, and what is said about it."""

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from keras_graft.diagnosis import InvalidFilterMonitor
from keras_graft.runs import model_card
from keras_graft.runs import results
from keras_graft.runs import run_report
from keras_graft.runs.answers import ask
from keras_graft.runs.batches import TrainingData
from keras_graft.runs.batches import resizing
from keras_graft.runs.exports import left_over
from keras_graft.runs.exports import write_exports
from keras_graft.runs.shipped_mean import shipped_mean
from keras_graft.runs.whole_files import save_network
from keras_graft.runs.whole_files import write_atomically
from keras_graft.structure.printable import printable
from keras_graft.swa import StochasticWeightAveraging


def finish(
    job: Any,
    monitor: InvalidFilterMonitor,
    test_logs: dict[str, float],
    seconds: float,
    notes: Sequence[str],
    swa: StochasticWeightAveraging | None,
    data: TrainingData,
) -> None:
    """Writes the run directory of a run that is trained.

    Args:
        job: The run: its settings, flags' text, directory, images, trainer
            and graft.
        monitor: Has counted filters before the training.
        test_logs: What the trainer's `evaluate` said of the test split.
        seconds: Of training.
        notes: Sentences for the protocol.
        swa: The weight averaging, or None.
        data: The batches that were trained on.
    """
    directory, trainer = job.directory, job.trainer
    shipped, mean_accuracy = trainer.best_network, None
    if job.settings.ship == "mean":
        shipped, mean_accuracy = shipped_mean(
            job.settings, job.splits, trainer, data
        )
    measured = results.Measured(
        history=results.read_history(directory.history),
        selected=trainer.networks.index(trainer.best_network),
        statuses=list(trainer.status),
        test_logs=test_logs,
        invalid_filters=monitor.count(),
        total_filters=monitor.total_filters,
        seconds=seconds,
        notes=notes,
        averaged=0 if swa is None else max(swa.num_epochs),
        mean_accuracy=mean_accuracy,
        weights_digest=job.digests.get("weights"),
    )
    found = results.run_results(job.settings, job.splits, measured)
    files = directory.networks(trainer.num_networks)
    for network, file in zip(trainer.networks, files, strict=True):
        save_network(network, file)
    save_network(shipped, directory.shipped)
    if found.class_names is not None:
        about = {
            "class_names": found.class_names,
            **resizing(job.settings),
        }
        write_atomically(directory.classes, json.dumps(about, indent=2) + "\n")
    formats = job.settings.export
    found = dataclasses.replace(
        found, exports=write_exports(formats, directory, job.splits)
    )
    for path in left_over(formats, directory):
        print(
            f"{path.name} is from an earlier end of this run, and left as it "
            "is: --export does not name it."
        )
    coefficients = {}
    if job.graft is not None:
        coefficients = run_report.read_coefficients(directory.coefficients)
    answers = ask(shipped, job.splits.test, job.splits.num_classes)
    page = run_report.report_html(
        found, measured.history, coefficients, job.flags_text, answers
    )
    write_atomically(directory.report, page)
    write_atomically(directory.card, model_card.card(found, job.settings))
    # Last: a run with this file is finished.
    write_atomically(directory.results, found.to_json())
    summary = results.summary(
        found, monitor.before, directory.shipped, measured.averaged
    )
    print(printable(summary, kept="\n"))
    print(f"\n  report            {printable(str(directory.report))}")
