"""The end of a run: what is shipped, and what is said about it."""

import json
from collections.abc import Sequence
from typing import Any

from keras_graft.diagnosis import InvalidFilterMonitor
from keras_graft.runs import results
from keras_graft.runs import run_report
from keras_graft.runs.exports import left_over
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
) -> None:
    """Writes the run directory of a run that is trained.

    Args:
        job: The run: its task, flags' text, directory, trainer and graft.
        monitor: Has counted filters before the training.
        test_logs: What the task's `tested` said.
        seconds: Of training.
        notes: Sentences for the protocol.
        swa: The weight averaging, or None.
    """
    task, directory, trainer = job.task, job.directory, job.trainer
    network, mean_logs = trainer.best_network, None
    if task.settings.ship == "mean":
        network, mean_logs = shipped_mean(task, trainer)
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
        mean_logs=mean_logs,
        weights_digest=job.digests.get("weights"),
    )
    shipped = task.shipped(network)
    found = task.results(measured, shipped)
    files = directory.networks(trainer.num_networks)
    for one, file in zip(trainer.networks, files, strict=True):
        save_network(one, file)
    save_network(shipped, directory.shipped)
    about = task.beside_shipped(found)
    if about is not None:
        write_atomically(directory.classes, json.dumps(about, indent=2) + "\n")
    found = task.exported(found, directory)
    # Where Python collects garbage, what a signal raises is lost.
    job.signals.check()
    for path in left_over(task.settings.export, directory):
        print(
            f"{path.name} is from an earlier end of this run, and left as it "
            "is: --export does not name it."
        )
    coefficients = {}
    if job.graft is not None:
        coefficients = run_report.read_coefficients(directory.coefficients)
    page = task.report(found, measured, coefficients, job.flags_text, shipped)
    write_atomically(directory.report, page)
    write_atomically(directory.card, task.card(found))
    # Last: a run with this file is finished.
    write_atomically(directory.results, found.to_json())
    summary = task.summary(found, measured, monitor.before, directory.shipped)
    print(printable(summary, kept="\n"))
    print(f"\n  report            {printable(str(directory.report))}")
