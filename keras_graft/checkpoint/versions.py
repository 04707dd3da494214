"""What computes: the versions that the last bits of a result depend on."""

import logging
import platform

import keras
import numpy as np
import tensorflow as tf

from keras_graft.distribution.workers import worker_of
from keras_graft.structure.printable import printable
from keras_graft.version import __version__

_LOG = logging.getLogger(__name__)


def versions() -> dict[str, str]:
    """Versions of this package, of what computes in it, and of Python."""
    return {
        "keras_graft": __version__,
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def made_by(trainer):
    """What the last bits of a run depend on."""
    strategy = trainer.distribute_strategy
    workers = worker_of(strategy).count
    return {
        **versions(),
        "replicas": strategy.num_replicas_in_sync,
        **({"workers": workers} if workers > 1 else {}),
    }


def warn_of_changes(before, now):
    changes = [
        f"{name} {before.get(name)} -> {now.get(name)}"
        for name in before | now
        if before.get(name) != now.get(name)
    ]
    if changes:
        _LOG.warning(
            "The checkpoint was written under other conditions (%s): the run "
            "goes on, but its last bits may differ.",
            printable(", ".join(changes)),
        )
