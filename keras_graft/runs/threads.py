"""How TensorFlow spreads several networks over a processor's cores."""

import os
from collections.abc import Mapping
from typing import Any

from keras_graft.runs.exit_codes import RunError

_VARIABLES = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
_INT32_MAX = 2**31 - 1


def share_out_threads(settings: Any) -> bool:
    """Gives every operation one thread, and each core operations of its own.

    Left alone, TensorFlow spreads every operation over all cores, which then
    wait for the slowest of them, operation by operation. Networks that run
    side by side need not wait.

    Nothing is changed where that would leave cores idle (fewer networks than
    cores) or is not ours to say: on a GPU, with several replicas or XLA, with
    threads chosen by the environment, or once TensorFlow is in use.

    Args:
        settings: The run's flags.

    Returns:
        Whether it did.

    Raises:
        RunError: If the environment asks for fewer than no threads, for which
            TensorFlow would abort the process, or for more than it can count.
    """
    refuse_impossible_counts(os.environ)
    import tensorflow as tf

    cores = len(os.sched_getaffinity(0)) if _has_affinity() else os.cpu_count()
    if (
        not 2 <= cores <= settings.num_networks
        or settings.jit
        or (settings.replicas or 1) > 1
        or settings.strategy == "multiworker"
        or any(name in os.environ for name in _VARIABLES)
        or tf.config.list_physical_devices("GPU")
    ):
        return False
    try:
        tf.config.threading.set_inter_op_parallelism_threads(cores)
        tf.config.threading.set_intra_op_parallelism_threads(1)
    except RuntimeError:
        return False
    return True


def refuse_impossible_counts(environ: Mapping[str, str]) -> None:
    """Refuses numbers of threads that TensorFlow cannot take.

    Args:
        environ: The environment.

    Raises:
        RunError: If one is below 0 or above what 32 bits hold.
    """
    for name in _VARIABLES:
        text = environ.get(name, "")
        try:
            count = int(text)
        except ValueError:
            continue  # TensorFlow takes it for one that is not set.
        if not 0 <= count <= _INT32_MAX:
            raise RunError(
                f"The environment variable {name}={text} is a number of "
                f"threads: give 1 to {_INT32_MAX}, or 0 to let TensorFlow "
                "choose."
            )


def _has_affinity():
    return hasattr(os, "sched_getaffinity")  # Not on every system.
