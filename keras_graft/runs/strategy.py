"""Devices, replicas and precision of a run."""

import contextlib
import os
import platform
import tempfile
from typing import Any

from keras_graft.runs.cluster import Cluster
from keras_graft.runs.exit_codes import RunError
from keras_graft.runs.rendezvous import meet
from keras_graft.runs.watchdog import ended_after

# For all workers to appear: hosts that read TensorFlow from a busy disk take
# minutes.
_START_SECONDS = 300.0
# For TensorFlow to connect workers that are all there.
_JOIN_SECONDS = 120.0
# What TensorFlow reads while it is imported. By itself it uses oneDNN on x86
# only where there is AVX-512 VNNI or better; without, `launch` was half again
# as fast with it (benchmarks/README.md).
ONEDNN = (
    {"TF_ENABLE_ONEDNN_OPTS": "1"}
    if platform.machine() in ("x86_64", "AMD64")
    else {}
)


def import_tensorflow_quietly() -> None:
    """Imports Keras on TensorFlow, without what TensorFlow says meanwhile.

    Its first lines (oneDNN, missing GPU libraries) bypass every log level.
    On x86 with oneDNN, unless the environment says otherwise.

    Raises:
        ImportError: With what was said, if the import fails.
    """
    os.environ["KERAS_BACKEND"] = "tensorflow"
    # Nothing is drawn on a screen, and a backend that is not there would end
    # the run at its report.
    os.environ["MPLBACKEND"] = "agg"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for name, value in ONEDNN.items():
        os.environ.setdefault(name, value)
    stderr = os.dup(2)
    with _unnamed_file() as said:
        os.dup2(said.fileno(), 2)
        try:
            import keras  # noqa: F401
        except ImportError as error:
            said.seek(0)
            text = said.read().decode(errors="replace")
            raise ImportError(f"{error}\n{text}") from error
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def _unnamed_file():
    try:
        return tempfile.TemporaryFile()
    except OSError:
        # No folder for such files can be written.
        return open(os.devnull, "w+b")


def make_strategy(
    name: str, replicas: int | None, cluster: Cluster | None = None
) -> Any:
    """Makes the strategy that `--strategy` and `--replicas` ask for.

    Must come before TensorFlow uses a device: logical CPU devices cannot be
    added later.

    Args:
        name: `"auto"`, `"none"`, `"mirrored"` or `"multiworker"`.
        replicas: Number of devices, or None for every GPU.
        cluster: The workers that train together, or None for this process
            alone. All of them must make their strategy.

    Returns:
        A `tf.distribute.Strategy`, or None for a single device.

    Raises:
        RunError: If the devices are not there.
    """
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if cluster is not None:
        return _join(cluster, gpus, replicas)
    if name == "multiworker":
        raise RunError(
            "--strategy=multiworker works with keras_graft.launch only. Use "
            "--strategy=mirrored for several devices of this host."
        )
    if name == "auto":
        several = (replicas or len(gpus)) > 1
        name = "mirrored" if several else "none"
    if name == "none":
        if replicas not in (None, 1):
            raise RunError(
                f"--replicas={replicas} needs --strategy=mirrored; "
                "--strategy=none runs on one device."
            )
        return None
    if gpus:
        return tf.distribute.MirroredStrategy(_gpus(gpus, replicas))
    devices = _logical_cpus(replicas or 1)
    return tf.distribute.MirroredStrategy(devices)


def replicas_of_a_host(name: str, replicas: int | None) -> int:
    """How many devices of a host the flags ask for, there or not.

    Args:
        name: The value of `--strategy`.
        replicas: That of `--replicas`, or None for every GPU.
    """
    import tensorflow as tf

    if name == "none":
        return 1
    return replicas or max(1, len(tf.config.list_physical_devices("GPU")))


def scope_of(strategy: Any) -> contextlib.AbstractContextManager:
    """The strategy's scope; for None one that does nothing."""
    return contextlib.nullcontext() if strategy is None else strategy.scope()


def set_precision(precision: str) -> None:
    """Makes Keras compute in `float32`, `bfloat16` or `float16`."""
    import keras

    policy = precision if precision == "float32" else f"mixed_{precision}"
    keras.config.set_dtype_policy(policy)


def describe_devices(strategy: Any) -> str:
    """What a run computes on, for people."""
    import tensorflow as tf

    from keras_graft.distribution.workers import worker_of

    gpus = len(tf.config.list_physical_devices("GPU"))
    kind = f"{gpus} GPU" if gpus else "CPU"
    if strategy is None:
        return f"{kind}, one replica"
    replicas = f"{strategy.num_replicas_in_sync} replicas in sync"
    workers = worker_of(strategy).count
    if workers == 1:
        return f"{kind}, {replicas}"
    return f"{workers} workers with {kind} each, {replicas}"


def _join(cluster, gpus, replicas):
    """Waits for the other workers; returns the strategy they share."""
    import tensorflow as tf

    from keras_graft.distribution.keras_gaps import warn_of_untested_keras

    warn_of_untested_keras()
    if gpus:
        tf.config.set_visible_devices(gpus[: len(_gpus(gpus, replicas))], "GPU")
    elif replicas not in (None, 1):
        raise RunError(
            f"--replicas={replicas}, but a worker without GPU is one replica: "
            "TensorFlow gives it one CPU device. Leave --replicas out, or "
            "name more workers in TF_CONFIG."
        )
    meet(cluster, _START_SECONDS)
    others = cluster.named(i for i in range(cluster.size) if i != cluster.index)
    # If one dies at this very moment, TensorFlow waits on, and lets nothing
    # else in this process run.
    with ended_after(
        _JOIN_SECONDS,
        f"TensorFlow has not connected worker {cluster.named([cluster.index])} "
        f"with worker {others} for {_JOIN_SECONDS:.0f} s, though all of them "
        "were there. Start the same command again on every host.",
    ):
        try:
            return tf.distribute.MultiWorkerMirroredStrategy()
        except tf.errors.OpError as error:
            raise RunError(
                f"Worker {cluster.named([cluster.index])} cannot join the "
                f"others: {error.message}"
            ) from error


def _gpus(gpus, replicas):
    if replicas is not None and replicas > len(gpus):
        raise RunError(
            f"--replicas={replicas}, but this host has {len(gpus)} GPU. "
            "Leave --replicas out to use every one."
        )
    return [f"GPU:{i}" for i in range(replicas or len(gpus))]


def _logical_cpus(replicas):
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    present = tf.config.get_logical_device_configuration(cpu) or [None]
    if len(present) < replicas:
        try:
            tf.config.set_logical_device_configuration(
                cpu, [tf.config.LogicalDeviceConfiguration()] * replicas
            )
        except RuntimeError as error:
            raise RunError(
                f"--replicas={replicas} logical CPU devices cannot be made "
                f"any more in this process: {error}"
            ) from error
    return [f"CPU:{i}" for i in range(replicas)]
