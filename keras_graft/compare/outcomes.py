"""What is kept of each run, and of the study as a whole."""

import json
import pathlib
from collections.abc import Iterable

import msgspec

from keras_graft import flags
from keras_graft.checkpoint.strict_json import ContentError
from keras_graft.checkpoint.strict_json import parse
from keras_graft.checks.plain_files import read_plain
from keras_graft.compare.records import Amount
from keras_graft.compare.records import Count
from keras_graft.compare.records import Record
from keras_graft.compare.records import Share
from keras_graft.compare.study import Run
from keras_graft.compare.study import Study
from keras_graft.compare.study import arm_runs
from keras_graft.compare.study import tuning_runs
from keras_graft.runs.changed_flags import ROUNDING
from keras_graft.runs.exit_codes import RunError
from keras_graft.runs.whole_files import write_atomically

_FILE = "outcome.json"
_LOCAL = (
    "--workdir=",
    "--data_dir=",
    "--resume=",
    "--teachers=",
    "--noplan",
)
_ROUNDING = {f"--{no}{name}" for name in ROUNDING for no in ("", "no")}


class Answers(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the test images of a run were answered.

    Attributes:
        images: Their number.
        checksum: Of the split; another one has another.
        right: For each arm which of them it has right, as hexadecimal of
            `numpy.packbits`.
    """

    images: Count
    checksum: Count
    right: dict[str, str]


class Outcome(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a run gave. A run is done when its folder holds one.

    Attributes:
        flags: The run's flags, without paths of this machine.
        seconds: Wall-clock time of the training.
        flops: Operations of the training.
        validation_accuracy: Of network 0 after the last epoch, for runs that
            tune; 0 where it diverged.
        records: The records of the run's arms.
        answers: Image by image; None where only the records are known.
    """

    flags: list[str]
    seconds: Amount
    flops: Count
    validation_accuracy: Share | None
    records: list[Record]
    answers: Answers | None = None


def read(folder: pathlib.Path) -> Outcome | None:
    """The outcome of the run in a folder, or None if it is not done.

    Raises:
        RunError: If the file cannot be read, or holds something else.
    """
    file = folder / _FILE
    try:
        return parse(read_plain(file), Outcome)
    except FileNotFoundError:
        return None
    except (OSError, ContentError) as error:
        raise RunError(
            f"{file} holds no outcome of this version: {error}. Move it away, "
            "and the run is measured again."
        ) from error


def write(folder: pathlib.Path, outcome: Outcome) -> None:
    """Marks the run in a folder as done."""
    text = json.dumps(msgspec.to_builtins(outcome), indent=1) + "\n"
    write_atomically(folder / _FILE, text)


def records_in(folder: pathlib.Path) -> list[Record]:
    """Of every finished run in a study's folder, whichever its arm."""
    files = sorted((folder / "runs").glob(f"*/seed*/{_FILE}"))
    return [record for file in files for record in read(file.parent).records]


def answers_in(folder: pathlib.Path) -> dict[tuple[str, int], Answers | None]:
    """Of every arm and seed in a study's folder, image by image."""
    files = sorted((folder / "runs").glob(f"*/seed*/{_FILE}"))
    found = [read(file.parent) for file in files]
    return {
        (record.arm, record.seed): outcome.answers
        for outcome in found
        for record in outcome.records
    }


def adopt(study: Study, known: Iterable[Record]) -> None:
    """Marks runs as done whose records are known from elsewhere.

    A study goes on from its file of records alone, on another machine too:
    networks and checkpoints of finished runs are not needed. Flags are
    compared when the study comes to a run.

    Args:
        study: The study; runs with an outcome in its folder keep it.
        known: Records of an earlier part of the study.

    Raises:
        RunError: If a record is of no arm or seed of the study, which would
            lose it when the file is written anew.
    """
    held = {(record.arm, record.seed) for record in records_in(study.folder)}
    by_arm = {(record.arm, record.seed): record for record in known}
    by_arm = {key: by_arm[key] for key in by_arm if key not in held}
    for run in arm_runs(study):
        mine = [by_arm.pop((arm.name, run.seed), None) for arm in run.arms]
        if not mine or None in mine:
            continue
        run.folder.mkdir(parents=True, exist_ok=True)
        write(
            run.folder,
            Outcome(
                flags=mine[0].flags,
                seconds=mine[0].seconds,
                flops=mine[0].flops_train,
                validation_accuracy=None,
                records=mine,
            ),
        )
    if by_arm:
        names = ", ".join(f"{arm} with seed {seed}" for arm, seed in by_arm)
        raise RunError(
            f"The file of records also holds {names}: name these --arms and "
            "seeds too, or give another --records."
        )


def portable_flags(
    settings: flags.Settings, run: Run | None = None
) -> list[str]:
    """The flags of a run, without those that only say where it lies.

    Args:
        settings: The run's flags.
        run: The run, whose teacher may be trained already or not; None for a
            whole study.
    """
    teaches = run is not None and bool(run.teacher_model)
    if teaches and not settings.teachers:
        # Whether its file is there yet is no matter of the run's flags.
        settings = settings._replace(teachers=(str(run.teacher),))
    lines = flags.flags_text(settings).splitlines()
    local = _LOCAL
    if run is not None and run.teacher is not None:
        local = (*_LOCAL, f"{run.given_as}=")
    kept = [line for line in lines if not line.startswith(local)]
    if run is not None and run.teacher is not None:
        kept.append(f"{run.given_as}={'/'.join(run.teacher.parts[-3:])}")
    return kept


def refuse_changes(folder: pathlib.Path, before: list[str], now: list[str]):
    """Raises a RunError where a folder holds something with other flags."""
    before = [line for line in before if line not in _ROUNDING]
    now = [line for line in now if line not in _ROUNDING]
    if before != now:
        lines = [f"was: {line}" for line in before if line not in now]
        lines += [f"now: {line}" for line in now if line not in before]
        raise RunError(
            f"{folder} was made with other flags:\n  "
            + "\n  ".join(lines)
            + "\nGive the same flags, or another --workdir; or move that "
            "folder away, to do it again."
        )


def refuse_another_study(study: Study) -> None:
    """Compares a study with the one in its folder, or notes it there.

    Raises:
        RunError: If the folder holds a study with other common flags. Arms
            and seeds may be added.
    """
    now = [
        *portable_flags(study.base),
        f"--tune_learning_rates={_csv(study.learning_rates)}",
        f"--tune_weight_decays={_csv(study.weight_decays)}",
        f"--tune_seeds={study.tuning_seeds}",
        f"--teacher_model={study.teacher_model}",
    ]
    file = study.folder / "study.txt"
    if file.exists():
        # Other bytes are other flags.
        try:
            before = read_plain(file).decode(errors="replace").splitlines()
        except OSError as error:
            raise RunError(f"{file} cannot be read: {error}.") from error
        refuse_changes(study.folder, before, now)
    study.folder.mkdir(parents=True, exist_ok=True)
    write_atomically(file, "".join(f"{line}\n" for line in now))


def choose(study: Study) -> tuple[float, float]:
    """The pair of the grid with the best mean validation accuracy.

    Equal ones: the first. Writes `tune/choice.json` for people to read.

    Args:
        study: A study whose tuning runs are all done.

    Returns:
        Learning rate and weight decay.
    """
    accuracies = {pair: [] for pair in study.grid}
    for run in tuning_runs(study):
        accuracies[run.pair].append(read(run.folder).validation_accuracy)
    if len(study.grid) == 1:
        return study.grid[0]
    means = {pair: sum(by) / len(by) for pair, by in accuracies.items()}
    chosen = max(means, key=means.__getitem__)
    rows = [
        {
            "learning_rate": rate,
            "weight_decay": decay,
            "validation_accuracy": mean,
            "chosen": (rate, decay) == chosen,
        }
        for (rate, decay), mean in means.items()
    ]
    write_atomically(
        study.folder / "tune" / "choice.json", json.dumps(rows, indent=1) + "\n"
    )
    return chosen


def _csv(values):
    return ",".join(f"{value:g}" for value in values)
