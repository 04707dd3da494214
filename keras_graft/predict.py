"""Says what a shipped network sees in image files.

    python -m keras_graft.predict RUN_DIRECTORY IMAGE.jpg [FOLDER ...]

The network is the `shipped.keras` of a run directory, or that file itself. The
names of the classes come from the `classes.json` beside it; without it classes
have numbers. Images are made square as they were in training. Of folders every
image is read, in the folders below them too.
"""

import argparse
import csv
import itertools
import json
import os
import pathlib
import sys

from keras_graft.checks import packages
from keras_graft.checks.plain_files import read_plain
from keras_graft.structure.printable import printable

_BATCH = 32


class _Refusal(Exception):
    """Ends the command with a message."""


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit code.

    Args:
        arguments: Words of the command line. Defaults to those of the process.
    """
    parser = argparse.ArgumentParser(
        prog="python -m keras_graft.predict", description=__doc__.split("\n")[0]
    )
    parser.add_argument("network", help="run directory, or a .keras file")
    parser.add_argument("images", nargs="+", help="image files and folders")
    parser.add_argument(
        "--top", type=int, default=1, help="classes to show for an image"
    )
    parser.add_argument(
        "--csv", help="file for the probability of every class of every image"
    )
    try:
        parsed = parser.parse_args(arguments)
    except SystemExit as stop:
        # argparse ends with 2, and the commands here with 1.
        sys.exit(1 if stop.code else 0)
    try:
        packages.require("Reading image files", packages.IMAGE_FILES)
        return _predict(parsed)
    except (_Refusal, packages.MissingPackageError) as error:
        print(printable(f"Error: {error}", kept="\n"), file=sys.stderr)
        return 1


def _predict(parsed):
    file = pathlib.Path(parsed.network)
    if file.is_dir():
        file = file / "shipped.keras"
    names, resize = _classes(file.with_name("classes.json"))
    paths = list(_image_files(parsed.images))
    if not paths:
        raise _Refusal(
            f"There is no image in {', '.join(parsed.images)}. Name image "
            "files, or folders that hold some."
        )
    if parsed.top < 1:
        raise _Refusal(f"--top={parsed.top} must be 1 or more.")
    network, side = _load(file)
    classes = network.output_shape[-1]
    names = names or [str(k) for k in range(classes)]
    if len(names) != classes:
        raise _Refusal(
            f"classes.json beside {file} names {len(names)} classes, and the "
            f"network has {classes}. Bring back the file of its run."
        )
    rows = _rows(network, side, resize, paths)
    if parsed.csv is None:
        return _show(rows, names, parsed.top)
    try:
        with open(parsed.csv, "w", newline="", encoding="utf-8") as table:
            return _write(rows, names, csv.writer(table))
    except OSError as error:
        raise _Refusal(f"--csv={parsed.csv}: {error.strerror}.") from error


def _classes(path):
    """Names of the classes, or None, and how images become square."""
    try:
        found = json.loads(read_plain(path))
        return [str(name) for name in found["class_names"]], found["resize"]
    except FileNotFoundError:
        return None, "crop"
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise _Refusal(
            f"{path} does not hold the names of the classes ({error}). Bring "
            "it back, or remove it to see numbers."
        ) from error


def _image_files(names):
    from keras_graft.data.folder.layout import SUFFIXES

    for name in names:
        path = pathlib.Path(name)
        if not path.is_dir():
            yield path
            continue
        for folder, folders, files in os.walk(path):
            folders.sort()
            for file in sorted(files):
                if file.lower().endswith(SUFFIXES) and file[0] != ".":
                    yield pathlib.Path(folder) / file


def _load(file):
    """The network, and the pixels at a side of its images."""
    if not file.is_file():
        raise _Refusal(
            f"There is no file {file}. Name a run directory with a "
            "shipped.keras, or a .keras file."
        )
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras

    try:
        network = keras.models.load_model(file, compile=False)
    except (OSError, ValueError, TypeError) as error:
        raise _Refusal(f"{file} is no saved Keras model: {error}") from error
    from keras_graft.recognition.networks import SHIPPED

    if network.name.endswith(SHIPPED):
        raise _Refusal(
            f"{file} gives embeddings, which tell no classes: it was trained "
            "with --task=recognition. Its card says how to compare images by "
            "them."
        )
    shape = network.input_shape
    square = len(shape) == 4 and shape[1] == shape[2] and shape[3] == 3
    if not square or shape[1] is None or len(network.output_shape) != 2:
        raise _Refusal(
            f"{file} takes inputs of shape {shape} and gives outputs of shape "
            f"{network.output_shape}. It must be a network that was trained "
            "on square color images to tell classes apart, with "
            "--dataset=folder:PATH."
        )
    return network, shape[1]


def _rows(network, side, resize, paths):
    """For each file `(path, probabilities)`, or `(path, error)`."""
    import numpy as np

    from keras_graft.data.folder.examination import in_threads
    from keras_graft.data.folder.image_file import BadImageError
    from keras_graft.data.folder.image_file import fit_to
    from keras_graft.data.folder.image_file import read_image
    from keras_graft.data.folder.image_file import size_of

    def read(path):
        try:
            size_of(path)
            return path, fit_to(read_image(path, side), side, resize)
        except BadImageError as error:
            return path, error

    found = in_threads(read, paths)
    while batch := list(itertools.islice(found, _BATCH)):
        good = [image for _, image in batch if not _is_error(image)]
        probabilities = iter(())
        if good:
            logits = network(np.stack(good), training=False)
            probabilities = iter(_softmax(np.asarray(logits, "float64")))
        for path, image in batch:
            yield path, image if _is_error(image) else next(probabilities)


def _is_error(found):
    return isinstance(found, Exception)


def _softmax(logits):
    import numpy as np

    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def _show(rows, names, top):
    code = 0
    for path, found in rows:
        if _is_error(found):
            code = _tell(path, found)
            continue
        best = found.argsort()[::-1][:top]
        text = ", ".join(f"{names[k]} {found[k]:.3f}" for k in best)
        print(printable(f"{path}: {text}"))
    return code


def _write(rows, names, table):
    code = 0
    table.writerow(["path", "class", *names])
    for path, found in rows:
        if _is_error(found):
            code = _tell(path, found)
            continue
        name = names[found.argmax()]
        table.writerow([path, name, *(f"{share:.6f}" for share in found)])
    return code


def _tell(path, error):
    print(printable(f"{path} cannot be used: {error}"), file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
