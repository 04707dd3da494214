"""The processes of one training job: which is this, and do they agree?"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf


class WorkersDifferError(RuntimeError):
    """The workers of a job do not do the same; the message says in what."""


@dataclasses.dataclass(frozen=True)
class Worker:
    """One process of a training job.

    Attributes:
        index: Its position among the workers, 0 for the chief.
        count: Number of workers; 1 where there is no other.
    """

    index: int
    count: int

    @property
    def is_chief(self) -> bool:
        """Whether this process writes files."""
        return self.index == 0


def worker_of(strategy: Any) -> Worker:
    """This process, as a strategy sees it.

    Args:
        strategy: A `tf.distribute.Strategy`, or None for a single device.
    """
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return Worker(0, 1)
    resolver = strategy.cluster_resolver
    jobs = resolver.cluster_spec().as_dict()
    if not jobs:
        return Worker(0, 1)
    chiefs = len(jobs.get("chief", ()))
    before = chiefs if resolver.task_type == "worker" else 0
    count = chiefs + len(jobs.get("worker", ()))
    return Worker(before + resolver.task_id, count)


def gather(strategy: Any, values: list[int]) -> np.ndarray:
    """What each worker says; a collective, so all workers must call it.

    Args:
        strategy: The strategy that the workers share.
        values: n whole numbers of this worker, below 2**63.

    Returns:
        Shape (workers, n), int64, the chief's first.
    """
    worker = worker_of(strategy)
    rows = np.zeros((worker.count, len(values)), "int64")
    rows[worker.index] = values
    if worker.count == 1:
        return rows
    total = strategy.reduce("SUM", tf.constant(rows), axis=None)
    return np.asarray(total)


def disagreements(strategy: Any, facts: Mapping[str, int]) -> list[str]:
    """What the workers do not have in common; a collective, like `gather`.

    Args:
        strategy: The strategy that the workers share.
        facts: Numbers by name, with the same names on every worker.

    Returns:
        A line for each number that differs, with the workers it differs on.
    """
    rows = gather(strategy, list(facts.values()))
    return [
        f"{name}: worker {', '.join(map(str, others))} and worker 0"
        for name, column in zip(facts, rows.T, strict=True)
        if (others := np.flatnonzero(column != column[0])).size
    ]
