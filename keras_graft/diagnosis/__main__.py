"""Shows the invalid filters of saved Keras models.

    python -m keras_graft.diagnosis MODEL.keras [MODEL2.keras ...]

One model: a table of its layers. Several of one architecture: their totals
side by side, and their l1 norms at the filters that the first model calls
valid or invalid.
"""

import os
import sys

from absl import app
from absl import flags

from keras_graft.checks import packages
from keras_graft.checks.output_files import check_output_file
from keras_graft.diagnosis import pictures
from keras_graft.diagnosis import saved_models
from keras_graft.diagnosis.filter_norms import check_thresholds
from keras_graft.structure.printable import printable

_JSON = flags.DEFINE_string("json", None, "File to write the numbers to.")
_PLOT = flags.DEFINE_string(
    "plot", None, "File to draw the picture to: .png, .svg or .pdf."
)
_THRESHOLDS = flags.DEFINE_list(
    "thresholds",
    ["1", "0.1", "0.01", "0.001"],
    "l1 norms below which a filter is invalid, with commas between.",
)


def main(argv):
    try:
        report = _run(argv[1:])
    except (ValueError, packages.MissingPackageError) as error:
        sys.exit(printable(f"Error: {error}", kept="\n"))
    try:
        print(printable(str(report), kept="\n"), flush=True)
    except BrokenPipeError:
        # Who read it has seen enough. The interpreter flushes once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(paths):
    if not paths:
        raise ValueError(
            "Name at least one saved model: python -m keras_graft.diagnosis "
            "MODEL.keras"
        )
    thresholds = _thresholds()
    for path in paths:
        saved_models.check_file(path)
    check_output_file("json", _JSON.value, (".json",))
    check_output_file("plot", _PLOT.value, pictures.FORMATS)
    if _PLOT.value:
        packages.require("--plot", packages.PICTURES)

    os.environ["KERAS_BACKEND"] = "tensorflow"
    # Most of TensorFlow's start-up lines are of no use beside a table.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from keras_graft.diagnosis import compare
    from keras_graft.diagnosis import diagnose

    models = [saved_models.load(path) for path in paths]
    if len(models) == 1:
        report = diagnose(models[0], thresholds)
    else:
        report = compare(models, thresholds, names=_short_names(paths))
    if _JSON.value:
        report.to_json(_JSON.value)
    if _PLOT.value:
        report.plot(_PLOT.value)
    return report


def _thresholds():
    try:
        values = [float(text) for text in _THRESHOLDS.value]
    except ValueError:
        raise ValueError(
            "--thresholds must be numbers with commas between, such as "
            f"--thresholds=1,0.1. Received: {','.join(_THRESHOLDS.value)}"
        ) from None
    return check_thresholds(values)


def _short_names(paths):
    """The paths without the folders that they share."""
    folders = [os.path.dirname(os.path.abspath(path)) for path in paths]
    shared = os.path.commonpath(folders)
    return [os.path.relpath(path, shared) for path in paths]


def _parse(argv):
    """Parses the flags; --help and its like end with 0, not with absl's 1."""
    try:
        rest = flags.FLAGS(argv)
        # absl would fail at it when all is done.
        check_output_file("profile_file", flags.FLAGS.profile_file)
        return rest
    except SystemExit:
        sys.exit(0)
    except (flags.Error, ValueError) as error:
        sys.exit(printable(f"Error: {error} --help lists the flags."))


if __name__ == "__main__":
    app.run(main, flags_parser=_parse)
