"""Compares arms over seeds: one resumable job, one report.

    python -m keras_graft.compare --flagfile=results/core.flags --data_dir=DIR

The flags of `keras_graft.launch` are what all arms share; --num_networks is N
and --seed the first seed. `--plan` prints the runs and their hours. Killed,
the same command goes on where it was; started several times, on all machines
that see the folder, each takes the next run that nobody has.

    python -m keras_graft.compare --dataset=folder:PATH --hours=2

chooses arms, seeds and epochs that fit into two hours, and says in the end
what to use on these images.
"""

from keras_graft.runs import signals

if __name__ == "__main__":
    # What follows takes a while.
    signals.leave_without_traceback()

import pathlib
import sys
import time

from absl import app
from absl import flags as absl_flags
from absl import logging as absl_logging

from keras_graft import flags
from keras_graft import models
from keras_graft.checks import packages
from keras_graft.compare import arms
from keras_graft.compare import hours as fitting
from keras_graft.compare import study as studies
from keras_graft.flags import value_types
from keras_graft.runs.exit_codes import DONE
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
_HOURS = absl_flags.DEFINE(
    value_types.Number("(0, 8760]"),
    "hours",
    None,
    "Hours that all of it may take. A few steps are timed, and the arms, "
    "seeds and epochs that fit are chosen, of what is not given; --epochs is "
    "the most. Not set: everything that is asked for is done.",
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
    began = time.monotonic()
    absl_logging.set_verbosity(absl_logging.WARNING)
    absl_logging.get_absl_handler().setFormatter(PlainFormatter())
    settings = flags.settings()
    try:
        packages.require("compare", packages.PICTURES)
        wish = _wish() if _HOURS.value is not None else None
        study = _study(settings, wish)
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
        if settings.plan and wish is None:
            return runner.show_plan(study)
        records = _RECORDS.value or study.folder / "records.json"
        budget = None
        with StopSignals() as signals:
            if wish is not None:
                study, budget = runner.plan(
                    study, wish, _HOURS.value, began, signals
                )
                if settings.plan:
                    print("Nothing was trained, but for the timing.")
                    return DONE
            return runner.start(
                study,
                pathlib.Path(records).absolute(),
                signals,
                _REPORT.value,
                budget,
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


def _wish():
    """What the flags leave to be chosen; raises where nothing can be."""
    names = ()
    if absl_flags.FLAGS["arms"].present:
        names = tuple(_ARMS.value)
        if len(names) < 2:
            raise ValueError(
                f"--arms={','.join(names)} with --hours: give two arms at "
                "least, of which one is recommended."
            )
    given = flags.given(sys.argv)
    seeds = absl_flags.FLAGS["num_seeds"].present
    return fitting.Wish(
        names,
        _NUM_SEEDS.value if seeds else None,
        absl_flags.FLAGS["epochs"].value if "epochs" in given else None,
    )


def _study(settings, wish):
    """The study that the flags ask for; raises where they cannot be meant."""
    models.check_name(_TEACHER.value)
    names = _ARMS.value
    if wish is not None:
        names = wish.arms or fitting.ORDER
        if "num_networks" not in flags.given(sys.argv):
            settings = settings._replace(num_networks=fitting.NUM_NETWORKS)
        if settings.validation_fraction == 0:
            raise ValueError(
                "--validation_fraction=0 with --hours leaves nothing to "
                "choose by: what is recommended would be chosen on the images "
                "that judge it. Give a fraction above 0."
            )
        if settings.schedule_epochs is not None:
            raise ValueError(
                f"--schedule_epochs={settings.schedule_epochs} with --hours: "
                "the epochs are still to be chosen, and the schedule ends "
                "with them. Leave it out."
            )
    study = studies.Study(
        base=settings._replace(plan=False),
        arms=arms.resolve(list(names)),
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
