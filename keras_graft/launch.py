"""Trains N networks together and ships one.

    python -m keras_graft.launch --dataset=folder:PATH

reads image files of your own, one folder a class. From a flagfile:

    python -m keras_graft.launch --flagfile=cifar10.flags --data_dir=DIR

Without flags: the recipe `digits.flags`, on data that installs with the
package. `--help` lists the flags.
"""

from keras_graft.runs import signals

if __name__ == "__main__":
    # What follows takes a while.
    signals.leave_without_traceback()

import contextlib
import logging
import os
import sys

from absl import app
from absl import logging as absl_logging

from keras_graft import flags
from keras_graft.runs.cluster import cluster_of
from keras_graft.runs.exit_codes import DONE
from keras_graft.runs.exit_codes import RunError
from keras_graft.runs.resuming import where_it_stopped
from keras_graft.runs.run import run
from keras_graft.runs.signals import Interrupted
from keras_graft.runs.signals import StopSignals
from keras_graft.runs.streams import PlainFormatter
from keras_graft.runs.streams import keep_streams
from keras_graft.structure.printable import printable


def main(argv):
    """Runs what the flags say; returns the exit code."""
    del argv  # Everything is in the flags.
    # TFDS tells at INFO what it reads; a warning is for a person.
    absl_logging.set_verbosity(absl_logging.WARNING)
    absl_logging.get_absl_handler().setFormatter(PlainFormatter())
    settings = flags.settings()
    try:
        cluster = cluster_of(settings.strategy, os.environ)
    except RunError as error:
        print(f"Error: {error}", file=sys.stderr)
        return error.exit_code
    if cluster is None:
        return _run_and_tell(settings, None, "")
    with contextlib.ExitStack() as quiet:
        if not cluster.is_chief:
            # The chief says everything once.
            logging.getLogger("keras_graft").setLevel(logging.ERROR)
            nowhere = quiet.enter_context(open(os.devnull, "w"))
            quiet.enter_context(contextlib.redirect_stdout(nowhere))
        code = _run_and_tell(settings, cluster, f"Worker {cluster.index}: ")
    if code != DONE:
        # The threads of TensorFlow that wait for the others would hold up
        # the end of the interpreter, and it the others.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def _run_and_tell(settings, cluster, who):
    try:
        with StopSignals() as stop_signals:
            return run(settings, stop_signals, cluster, owns_process=True)
    except RunError as error:
        print(f"{who}Error: {error}", file=sys.stderr)
        return error.exit_code
    except Interrupted as interrupted:
        text = where_it_stopped(settings, f"Stopped by {interrupted.name}")
        print(printable(who + text, kept="\n"), file=sys.stderr)
        return interrupted.exit_code


if __name__ == "__main__":
    keep_streams()
    flags.define()
    app.run(main, flags_parser=flags.parse_or_exit)
