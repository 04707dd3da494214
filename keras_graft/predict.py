"""Says what a shipped network sees in image files.

    python -m keras_graft.predict RUN_DIRECTORY IMAGE.jpg [FOLDER ...]

The network is the `shipped.keras` of a run directory, or that file itself. The
names of the classes come from the `classes.json` beside it, and so does how
images become squares: the network is given what the run gave it on its test
images. Without that file classes have numbers, and of an image that is no
square the middle is taken. Of folders every image is read, in the folders below
them too.
"""

from keras_graft.runs import signals

if __name__ == "__main__":
    # What follows takes a while.
    signals.leave_without_traceback()

import argparse
import csv
import itertools
import json
import os
import pathlib
import sys
from typing import Any
from typing import NamedTuple

from keras_graft.checks import packages
from keras_graft.checks.members import check_member
from keras_graft.checks.output_files import check_output_file
from keras_graft.checks.plain_files import read_plain
from keras_graft.data.image_names import is_hidden
from keras_graft.data.image_names import is_image_name
from keras_graft.data.names import RESIZES
from keras_graft.runs.strategy import import_tensorflow_quietly
from keras_graft.runs.streams import keep_streams
from keras_graft.structure.printable import printable

_BATCH = 32


class _Refusal(Exception):
    """Ends the command with a message."""


class _Classes(NamedTuple):
    """What `classes.json` says.

    Attributes:
        names: Of the classes, or None.
        resize: As of `ImageStore`; None where nobody has resized images.
        whole: Likewise.
    """

    names: list[str] | None = None
    resize: str | None = None
    whole: bool | None = None


class _Network(NamedTuple):
    """A network, what it takes and what it gives.

    Attributes:
        model: The Keras model.
        side: Pixels at a side of its images.
        num_classes: How many classes it tells apart.
        gives_logits: Whether it gives logits; else probabilities.
    """

    model: Any
    side: int
    num_classes: int
    gives_logits: bool


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
        "--csv",
        help="file .csv for the probability of every class of every image",
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
    classes = _classes(file.with_name("classes.json"))
    paths = list(_image_files(parsed.images))
    if not paths:
        raise _Refusal(
            f"There is no image in {', '.join(parsed.images)}. Name image "
            "files, or folders that hold some."
        )
    if parsed.top < 1:
        raise _Refusal(f"--top={parsed.top} must be 1 or more.")
    try:
        # Who takes it for a switch would lose the photograph behind it.
        check_output_file("csv", parsed.csv, (".csv",))
    except ValueError as error:
        raise _Refusal(f"{error}") from error
    network = _load(file)
    names = classes.names or [str(k) for k in range(network.num_classes)]
    if len(names) != network.num_classes:
        raise _Refusal(
            f"classes.json beside {file} names {len(names)} classes, and the "
            f"network has {network.num_classes}. Bring back the file of its "
            "run."
        )
    if classes.resize is None:
        note = (
            f"No classes.json beside {file} says how images became squares: "
            "of others than that the middle is taken."
        )
        print(printable(note), file=sys.stderr)
    rows = _rows(network, classes, paths)
    if parsed.csv is None:
        return _show(rows, names, parsed.top)
    try:
        with open(parsed.csv, "w", newline="", encoding="utf-8") as table:
            return _write(rows, names, csv.writer(table))
    except OSError as error:
        raise _Refusal(f"--csv={parsed.csv}: {error.strerror}.") from error


def _classes(path):
    try:
        found = json.loads(read_plain(path))
        names, resize, whole = (
            found[key] for key in ("class_names", "resize", "whole")
        )
        if not isinstance(names, list):
            raise TypeError("`class_names` must be a list")
        if (resize, whole) != (None, None):
            check_member("resize", resize, RESIZES)
            if not isinstance(whole, bool):
                raise TypeError("`whole` must be true or false")
        return _Classes([str(name) for name in names], resize, whole)
    except FileNotFoundError:
        return _Classes()
    except KeyError as error:
        reason = f"it has no {error}"
    except (OSError, ValueError, TypeError) as error:
        reason = str(error)
    raise _Refusal(
        f"{path} does not hold the names of the classes, and how images became "
        f"squares: {reason}. Bring it back, or remove it to see numbers."
    )


def _image_files(names):
    for name in names:
        path = pathlib.Path(name)
        if not path.is_dir():
            yield path
            continue
        for folder, folders, files in os.walk(path):
            folders[:] = sorted(f for f in folders if not is_hidden(f))
            yield from (
                pathlib.Path(folder) / file
                for file in sorted(files)
                if is_image_name(file)
            )


def _load(file):
    if not file.is_file():
        raise _Refusal(
            f"There is no file {file}. Name a run directory with a "
            "shipped.keras, or a .keras file."
        )
    import_tensorflow_quietly()
    import keras

    try:
        network = keras.models.load_model(file, compile=False)
    # Damaged files, unknown classes: errors of many kinds.
    except Exception as error:
        raise _Refusal(f"{file} is no saved Keras model: {error}") from error
    return _examined(file, network)


def _examined(file, network):
    from keras_graft.recognition.networks import SHIPPED
    from keras_graft.structure.outputs import final_activation

    if network.name.endswith(SHIPPED):
        raise _Refusal(
            f"{file} gives embeddings, which tell no classes: it was trained "
            "with --task=recognition. Its card says how to compare images by "
            "them."
        )
    inputs = getattr(network, "inputs", None) or []
    outputs = getattr(network, "outputs", None) or []
    if len(outputs) > 1:
        listed = ", ".join(
            f"{name} of shape {output.shape}"
            for name, output in zip(network.output_names, outputs, strict=True)
        )
        raise _Refusal(
            f"{file} gives {len(outputs)} outputs: {listed}. Nobody says which "
            "of them tells classes apart. Save that one alone: "
            "keras.Model(network.inputs, network.outputs[0]).save(FILE), or 1, "
            "..."
        )
    taken, given = (
        [tensor.shape for tensor in tensors] for tensors in (inputs, outputs)
    )
    activation = final_activation(network)
    if not (
        (len(taken), len(given)) == (1, 1)
        and len(taken[0]) == 4
        and taken[0][1] == taken[0][2] is not None
        and taken[0][3] == 3
        and len(given[0]) == 2
        and (given[0][1] or 0) > 1
        and activation != "sigmoid"
    ):
        raise _Refusal(
            f"{file} takes inputs of shape {_shapes(taken)} and gives outputs "
            f"of shape {_shapes(given)}"
            f"{', sigmoids' if activation == 'sigmoid' else ''}. It must be a "
            "network that was trained on square color images to tell classes "
            "apart, with --dataset=folder:PATH."
        )
    return _Network(network, taken[0][1], given[0][1], activation != "softmax")


def _shapes(shapes):
    return " and ".join(map(str, shapes)) or "unknown"


def _rows(network, classes, paths):
    """For each file `(path, probabilities)`, or `(path, error)`."""
    import keras
    import numpy as np

    from keras_graft.data.folder.examination import in_threads
    from keras_graft.data.folder.file_images import ImageStore
    from keras_graft.data.folder.image_file import BadImageError
    from keras_graft.data.folder.image_file import size_of

    # What the run read its test images with.
    store = ImageStore(
        network.side, classes.resize or "crop", bool(classes.whole)
    )

    def read(path):
        try:
            size_of(path)
            return path, store.square_of(store.decode(path))
        except BadImageError as error:
            return path, error

    found = in_threads(read, paths)
    while batch := list(itertools.islice(found, _BATCH)):
        good = [image for _, image in batch if not _is_error(image)]
        probabilities = iter(())
        if good:
            given = network.model(np.stack(good), training=False)
            (given,) = keras.tree.flatten(given)
            given = np.asarray(given, "float64")
            probabilities = iter(
                _softmax(given) if network.gives_logits else given
            )
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
        shares = [f"{share:.6f}" for share in found]
        table.writerow([printable(str(path)), name, *shares])
    return code


def _tell(path, error):
    print(printable(f"{path} cannot be used: {error}"), file=sys.stderr)
    return 1


if __name__ == "__main__":
    keep_streams()
    sys.exit(main())
