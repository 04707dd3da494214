"""Compares arms over seeds: one resumable job, one report.

    python -m keras_graft.compare --flagfile=results/core.flags --data_dir=DIR

The flags of `keras_graft.launch` are what all arms share; --num_networks is N
and --seed the first seed. `--plan` prints the runs and their hours. Killed,
the same command goes on where it was; started several times, on all machines
that see the folder, each takes the next run that nobody has.
"""

import pathlib
import sys

from absl import app
from absl import flags as absl_flags
from absl import logging as absl_logging

from keras_graft import flags
from keras_graft import models
from keras_graft.checks import packages
from keras_graft.compare import arms
from keras_graft.compare import study as studies
from keras_graft.runs.exit_codes import REFUSED
from keras_graft.runs.exit_codes import RunError
from keras_graft.runs.signals import Interrupted
from keras_graft.runs.signals import StopSignals
from keras_graft.runs.streams import PlainFormatter
from keras_graft.runs.streams import keep_streams
from keras_graft.structure.printable import printable

_ARMS = absl_flags.DEFINE_list(
    "arms",
    list(arms.ARMS),
    "What is compared: names, and FILE.flags for arms of your own.",
)
_NUM_SEEDS = absl_flags.DEFINE_integer(
    "num_seeds", 5, "Seeds of each arm, from --seed on.", lower_bound=1
)
_RATES = absl_flags.DEFINE_list(
    "tune_learning_rates",
    [],
    "Learning rates that the single network is tuned over, on validation; "
    "all arms then have the best. Empty: --learning_rate.",
)
_DECAYS = absl_flags.DEFINE_list(
    "tune_weight_decays",
    [],
    "Weight decays, tuned likewise. Empty: --weight_decay.",
)
_TUNE_SEEDS = absl_flags.DEFINE_integer(
    "tune_seeds",
    2,
    "Seeds that each pair of the grid is tried with.",
    lower_bound=1,
)
_TEACHER = absl_flags.DEFINE_string(
    "teacher_model",
    "resnet20",
    "Architecture of the teacher, which is trained for each seed.",
)
_RECORDS = absl_flags.DEFINE_string(
    "records",
    None,
    "File of the records. Not set: records.json in --workdir.",
)
_REPORT = absl_flags.DEFINE_boolean(
    "report",
    True,
    "Write report.html and print the table. Both tell test accuracies: "
    "--noreport for a search, which is to be judged on validation.",
)


def main(argv):
    """Does what the flags say; returns the exit code."""
    del argv  # Everything is in the flags.
    absl_logging.set_verbosity(absl_logging.WARNING)
    absl_logging.get_absl_handler().setFormatter(PlainFormatter())
    settings = flags.settings()
    try:
        packages.require("compare", packages.PICTURES)
        study = _study(settings)
    except (
        ValueError,
        absl_flags.Error,
        packages.MissingPackageError,
    ) as error:
        print(printable(f"Error: {error}", kept="\n"), file=sys.stderr)
        return REFUSED
    from keras_graft.runs import strategy

    strategy.import_tensorflow_quietly()
    from keras_graft.compare import runner

    try:
        if settings.plan:
            return runner.show_plan(study)
        records = _RECORDS.value or study.folder / "records.json"
        with StopSignals() as signals:
            return runner.start(
                study,
                pathlib.Path(records).absolute(),
                signals,
                _REPORT.value,
            )
    except RunError as error:
        print(f"Error: {error}", file=sys.stderr)
        return error.exit_code
    except Interrupted as signal:
        print(
            f"{signal.name}: stopped. The same command goes on from here.",
            file=sys.stderr,
        )
        return signal.exit_code


def _study(settings):
    """The study that the flags ask for; raises where they cannot be meant."""
    models.check_name(_TEACHER.value)
    study = studies.Study(
        base=settings._replace(plan=False),
        arms=arms.resolve(_ARMS.value),
        num_seeds=_NUM_SEEDS.value,
        learning_rates=_numbers(_RATES) or (settings.learning_rate,),
        weight_decays=_numbers(_DECAYS) or (settings.weight_decay,),
        tuning_seeds=_TUNE_SEEDS.value,
        teacher_model=_TEACHER.value,
    )
    studies.check(study)
    return study


def _numbers(flag):
    try:
        return tuple(float(text) for text in flag.value)
    except ValueError as error:
        raise ValueError(
            f"--{flag.name}={','.join(flag.value)} must be numbers: {error}"
        ) from error


if __name__ == "__main__":
    keep_streams()
    flags.define()
    app.run(main, flags_parser=flags.parse_or_exit)
