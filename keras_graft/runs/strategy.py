"""Devices, replicas and precision of a run."""

import contextlib
import os
import tempfile
from typing import Any

from keras_graft.runs.exit_codes import RunError


def import_tensorflow_quietly() -> None:
    """Imports Keras on TensorFlow, without what TensorFlow says meanwhile.

    Its first lines (oneDNN, missing GPU libraries) bypass every log level.

    Raises:
        ImportError: With what was said, if the import fails.
    """
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as said:
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


def make_strategy(name: str, replicas: int | None) -> Any:
    """Makes the strategy that `--strategy` and `--replicas` ask for.

    Must come before TensorFlow uses a device: logical CPU devices cannot be
    added later.

    Args:
        name: `"auto"`, `"none"`, `"mirrored"` or `"multiworker"`.
        replicas: Number of devices, or None for every GPU.

    Returns:
        A `tf.distribute.Strategy`, or None for a single device.

    Raises:
        RunError: If the devices are not there.
    """
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if name == "multiworker" or (name == "auto" and "TF_CONFIG" in os.environ):
        raise RunError(
            "Several hosts are not supported yet. Unset TF_CONFIG, and use "
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

    gpus = len(tf.config.list_physical_devices("GPU"))
    kind = f"{gpus} GPU" if gpus else "CPU"
    if strategy is None:
        return f"{kind}, one replica"
    return f"{kind}, {strategy.num_replicas_in_sync} replicas in sync"


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
