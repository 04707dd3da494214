"""What ships, written for other runtimes, and each file checked.

A file that gives other answers than Keras on the run's test images is worth
less than none, and some converters write such files without a word.
"""

import pathlib
import warnings
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_graft import data
from keras_graft.runs.exit_codes import RunError
from keras_graft.runs.export_runtimes import RUNTIMES
from keras_graft.runs.results import Export
from keras_graft.runs.run_directory import RunDirectory
from keras_graft.runs.whole_files import is_whole
from keras_graft.runs.whole_files import replacing
from keras_graft.structure.graph import sublayers

# Images that ranges of activations are taken from for int8.
_REPRESENTATIVE = 200
# Pixels of all the images that a file is checked on.
_CHECKED_PIXELS = 2**27
_BATCH = 64
# Of the largest logit. Kernels of runtimes add up in other orders, and a GPU
# rounds; a file that is wrong is wrong by far more.
_TOLERANCE = 0.02


def write_exports(
    formats: Sequence[str], directory: RunDirectory, splits: data.Splits
) -> list[Export]:
    """Writes what `shipped.keras` is in other formats.

    Args:
        formats: As `--export` names them.
        directory: The run's folder, in which `shipped.keras` lies.
        splits: Its images.

    Returns:
        What was written, in the order of the formats.

    Raises:
        RunError: If a format cannot hold the network, or gives other answers
            than Keras.
    """
    if not formats:
        return []
    network = _plain(_loaded(directory.shipped))
    test = _evenly(splits.test, _checked(splits.test))
    expected = _logits(network.predict_on_batch, test)
    found = []
    for name in formats:
        for path in directory.exports([name]):
            options = {}
            if path == directory.litert_int8:
                options = _quantised(splits.train)
            with replacing(path) as temporary:
                logits = _written(name, network, temporary, options, test)
                numbers = "int8" if options else "float32"
                export = _measured(
                    path.name, name, numbers, temporary, test, expected, logits
                )
                if not options:
                    _refuse_other_answers(export)
            found.append(export)
    return found


def left_over(
    formats: Sequence[str], directory: RunDirectory
) -> list[pathlib.Path]:
    """Exports of an earlier end of the run, which are not written anew."""
    others = [name for name in RUNTIMES if name not in formats]
    return [path for path in directory.exports(others) if is_whole(path)]


def _loaded(path):
    try:
        return keras.models.load_model(path, compile=False)
    except (OSError, ValueError, TypeError) as error:
        raise RunError(
            f"--export needs {path.name} as Keras alone reads it, and it "
            f"cannot: {error}"
        ) from error


def _plain(network: keras.Model) -> keras.Model:
    """Prepares a network that nobody else uses.

    It computes in float32, which every runtime has, and its statistics of
    pixels are numbers of the graph: as tensors, tf2onnx makes inputs of them.
    """
    for layer in _layers(network):
        layer.dtype_policy = "float32"
        if isinstance(layer, keras.layers.Normalization):
            layer.mean = keras.ops.convert_to_numpy(layer.mean)
            layer.variance = keras.ops.convert_to_numpy(layer.variance)
    return network


def _layers(layer: Any) -> Iterator[keras.layers.Layer]:
    yield layer
    for below in sublayers(layer):
        yield from _layers(below)


def _checked(split: data.Split) -> int:
    """How many images of a split fit what may be checked."""
    height, width = split.images.shape[1:3]
    return max(_CHECKED_PIXELS // (height * width), 1)


def _evenly(split: data.Split, most: int) -> data.Split:
    count = min(len(split), most)
    return split.take(np.arange(count) * len(split) // count)


def _quantised(split: data.Split) -> dict[str, Any]:
    import tensorflow as tf

    images = _evenly(split, _REPRESENTATIVE).images

    def representative():
        for image in images[:]:
            yield [image[np.newaxis].astype(np.float32)]

    return {
        "optimizations": [tf.lite.Optimize.DEFAULT],
        "representative_dataset": representative,
    }


def _written(
    name: str,
    network: keras.Model,
    path: pathlib.Path,
    options: dict[str, Any],
    test: data.Split,
) -> np.ndarray:
    """Writes a file, and returns the logits that it gives."""
    runtime = RUNTIMES[name]
    try:
        with warnings.catch_warnings():
            # Keras looks for a name that NumPy has no more.
            warnings.simplefilter("ignore", FutureWarning)
            network.export(
                path, format=runtime.keras_name, verbose=False, **options
            )
        return _logits(runtime.load(path), test)
    # Converters raise whatever they meet.
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        raise RunError(
            f"--export={name}: the shipped network cannot be written so, or "
            f"not be read back ({type(error).__name__}: {reason}). "
            "shipped.keras is there; the same command without "
            f"{name} in --export ends the run."
        ) from error


def _logits(
    call: Callable[[np.ndarray], np.ndarray], split: data.Split
) -> np.ndarray:
    """Logits of a split's images, float64, shape [n, classes]."""
    found = []
    for start in range(0, len(split), _BATCH):
        images = split.images[start : start + _BATCH].astype(np.float32)
        found.append(np.asarray(call(images), np.float64))
    return np.concatenate(found)


def _measured(file, name, numbers, path, test, expected, logits):
    return Export(
        file=file,
        format=name,
        numbers=numbers,
        size=_size(path),
        images=len(test),
        largest_difference=float(np.abs(logits - expected).max()),
        largest_logit=float(np.abs(expected).max()),
        test_accuracy=_accuracy(logits, test),
        keras_test_accuracy=_accuracy(expected, test),
    )


def _accuracy(logits, split):
    return float((logits.argmax(axis=-1) == split.labels).mean())


def _size(path):
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def _refuse_other_answers(export):
    # Asked this way round, since every comparison with NaN is false.
    if export.largest_difference <= _TOLERANCE * max(export.largest_logit, 1):
        return
    raise RunError(
        f"--export={export.format} gives other answers than Keras: on "
        f"{export.images} test images its logits differ by up to "
        f"{export.largest_difference:.3g}, and Keras' are up to "
        f"{export.largest_logit:.3g}. {export.file} is not kept; shipped.keras "
        f"is there, and the same command without {export.format} in --export "
        "ends the run."
    )
