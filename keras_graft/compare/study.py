"""Arms x seeds -> runs: where each lies, and with which flags."""

import dataclasses
import itertools
import math
import pathlib
import tempfile

from keras_graft import flags
from keras_graft.compare.arms import ARMS
from keras_graft.compare.arms import ITSELF
from keras_graft.compare.arms import LARGER
from keras_graft.compare.arms import SWA_START
from keras_graft.compare.arms import TRUNK
from keras_graft.compare.arms import Arm

# Seeds of the tuning, far from those of the study.
_FIRST_TUNING_SEED = 1000


@dataclasses.dataclass(frozen=True)
class Study:
    """A comparison.

    Attributes:
        base: Flags that all arms share; `num_networks` is N, `seed` the
            first seed, `workdir` the study's folder.
        arms: What is compared.
        num_seeds: Seeds of each arm.
        learning_rates: Tuning grid; with one pair nothing is tuned.
        weight_decays: Likewise.
        tuning_seeds: Seeds that each pair of the grid is tried with.
        teacher_model: Architecture of the teacher.
    """

    base: flags.Settings
    arms: tuple[Arm, ...]
    num_seeds: int
    learning_rates: tuple[float, ...]
    weight_decays: tuple[float, ...]
    tuning_seeds: int
    teacher_model: str

    @property
    def folder(self) -> pathlib.Path:
        """Folder of the study."""
        return pathlib.Path(self.base.workdir)

    @property
    def grid(self) -> list[tuple[float, float]]:
        """Pairs of learning rate and weight decay."""
        return list(itertools.product(self.learning_rates, self.weight_decays))


@dataclasses.dataclass(frozen=True)
class Run:
    """One training: a unit of work, done or not.

    Attributes:
        name: What it is called, such as `mutual`.
        seed: Its seed.
        folder: Its run directory.
        flags: Flags over the study's.
        arms: The arms that read their record from it; none for tuning and
            teachers.
        pair: Learning rate and weight decay, where the run tries one.
        teacher: The file of what was trained for it before, or None.
        teacher_model: Architecture of a teacher; empty without one.
    """

    name: str
    seed: int
    folder: pathlib.Path
    flags: tuple[str, ...]
    arms: tuple[Arm, ...] = ()
    pair: tuple[float, float] | None = None
    teacher: pathlib.Path | None = None
    teacher_model: str = ""

    @property
    def begins_with(self) -> bool:
        """Whether its networks begin as what was trained before."""
        return self.teacher is not None and not self.teacher_model

    @property
    def given_as(self) -> str:
        """The flag that the file is given with."""
        return "--initial_network" if self.begins_with else "--teachers"


def check(study: Study) -> None:
    """Refuses a study that cannot be meant, before anything is trained.

    Raises:
        absl.flags.Error: If a flag of an arm is unknown or out of range.
        ValueError: If the study contradicts itself.
    """
    base = study.base
    if not study.arms:
        raise ValueError("--arms is empty: give one arm at least.")
    if base.task != "classification":
        raise ValueError(
            f"--task={base.task}: arms are compared by their accuracy, which "
            "it has none of. Start a launch for each arm and seed."
        )
    if base.num_networks < 2:
        raise ValueError(
            f"--num_networks={base.num_networks}: the arms compare N "
            "networks with one. Give 2 or more."
        )
    if len(study.grid) > 1 and base.validation_fraction == 0:
        raise ValueError(
            "--validation_fraction=0 leaves nothing to tune on. Give a "
            "fraction above 0, or one learning rate and weight decay."
        )
    if base.teachers:
        raise ValueError(
            "--teachers would teach every arm. Leave it out: arms with a "
            "teacher train their own, see --teacher_model."
        )
    if base.resume != "auto":
        raise ValueError(
            f"--resume={base.resume}: a study always goes on where it was. "
            "Leave --resume out."
        )
    for run in (*tuning_runs(study), *arm_runs(study)):
        settings_of(study, run, study.grid[0])


def tuning_runs(study: Study) -> list[Run]:
    """The runs that choose learning rate and weight decay; may be none."""
    if len(study.grid) < 2:
        return []
    return [
        Run(
            name="tune",
            seed=_FIRST_TUNING_SEED + i,
            folder=study.folder
            / "tune"
            / f"learning_rate={rate:g}-weight_decay={decay:g}-seed{i}",
            flags=("--num_networks=1", "--nograft", "--mutual_weight=0"),
            pair=(rate, decay),
        )
        for i in range(study.tuning_seeds)
        for rate, decay in study.grid
    ]


def arm_runs(study: Study) -> list[Run]:
    """The runs of the arms, seed by seed, a teacher before who needs it."""
    runs = []
    for seed in range(study.base.seed, study.base.seed + study.num_seeds):
        teachers = {
            kind: _teacher_run(study, kind, seed)
            for kind in dict.fromkeys(arm.teacher for arm in study.arms)
            if kind
        }
        runs += teachers.values()
        for name in dict.fromkeys(arm.run for arm in study.arms):
            # All that the run tells, asked for or not: it is done only once.
            known = dict.fromkeys((*ARMS.values(), *study.arms))
            arms = tuple(arm for arm in known if arm.run == name)
            kind = arms[0].teacher
            teacher = teachers.get(kind)
            runs.append(
                Run(
                    name=name,
                    seed=seed,
                    folder=study.folder / "runs" / name / f"seed{seed}",
                    flags=(
                        *arms[0].flags,
                        *_epochs(study, arms[0]),
                        *_averaged(arms[0]),
                    ),
                    arms=arms,
                    teacher=teacher and teacher.folder / "shipped.keras",
                    teacher_model=_teacher_model(study, kind),
                )
            )
    return runs


def _averaged(arm):
    """Flags of an arm whose weights are averaged."""
    if arm.teacher == TRUNK:
        return ["--swa_start=0"]
    return [f"--swa_start={SWA_START}"] * arm.average


def _epochs(study, arm):
    """Flags of an arm whose epochs are not the study's."""
    if arm.teacher == ITSELF:
        return [_epochs_of_a_life(study)]
    if arm.teacher == TRUNK:
        whole, trunk = _epochs_of_a_fork(study)
        return [f"--epochs={whole - trunk}", "--schedule=constant"]
    if arm.long:
        return [f"--epochs={study.base.epochs * study.base.num_networks}"]
    return []


def _epochs_of_a_life(study):
    """Of a teacher, and of its student: together they cost what N networks do.

    A step of the student has the teacher's forward pass too, a third of what
    a step costs else: 1 + 4/3.
    """
    budget = study.base.epochs * study.base.num_networks
    return f"--epochs={max(1, 3 * budget // 7)}"


def _epochs_of_a_fork(study):
    """Epochs of trunk and branch, and of the trunk: as one cost N networks do.

    The trunk takes the share of them in which nothing is averaged.
    """
    n = study.base.num_networks
    share = SWA_START + (1 - SWA_START) * n
    whole = max(2, round(study.base.epochs * n / share))
    return whole, min(whole - 1, max(1, round(SWA_START * whole)))


def _held_share(schedule):
    """What is left of the learning rate where it is held."""
    return {
        "constant": 1.0,
        # After two of the three steps.
        "step": 0.01,
        "cosine": (1 + math.cos(math.pi * SWA_START)) / 2,
    }[schedule]


def _teacher_model(study, kind):
    models = {LARGER: study.teacher_model, ITSELF: study.base.model}
    return models.get(kind, "")


def _teacher_run(study, kind, seed):
    name = {LARGER: "teacher", ITSELF: "teacher_itself"}.get(kind, kind)
    own = [f"--model={_teacher_model(study, kind) or study.base.model}"]
    if kind == TRUNK:
        whole, trunk = _epochs_of_a_fork(study)
        own.append(f"--epochs={trunk}")
        if study.base.schedule != "constant":
            own.append(f"--schedule_epochs={whole}")
    if kind == ITSELF:
        own += [_epochs_of_a_life(study), f"--swa_start={SWA_START}"]
    return Run(
        name=name,
        seed=seed,
        folder=study.folder / name / f"seed{seed}",
        flags=("--num_networks=1", "--nograft", "--mutual_weight=0", *own),
    )


def settings_of(
    study: Study, run: Run, chosen: tuple[float, float]
) -> flags.Settings:
    """The flags of a run.

    The seed decides the data split, the order of the images and the initial
    weights of each network by its position, so that the arms of a seed share
    them.

    Args:
        study: The study.
        run: One of its runs.
        chosen: Learning rate and weight decay that the tuning chose; a run
            with a pair of its own has that.

    Raises:
        absl.flags.Error: If a flag of the arm is unknown or out of range.
        ValueError: If flags contradict each other or have no meaning.
    """
    rate, decay = run.pair or chosen
    if run.begins_with:
        rate *= _held_share(study.base.schedule)
    with tempfile.TemporaryDirectory() as folder:
        # As a flagfile, so that an arm's flag may take the meaning from one
        # of the study's.
        common = pathlib.Path(folder) / "study.flags"
        common.write_text(flags.flags_text(study.base), encoding="utf-8")
        flag_values = flags.FlagValues()
        flags.define(flag_values)
        arguments = [
            f"--flagfile={common}",
            f"--learning_rate={rate!r}",
            f"--weight_decay={decay!r}",
            *run.flags,
            f"--seed={run.seed}",
            f"--workdir={run.folder}",
        ]
        # At planning time the teacher is not there yet.
        if run.teacher is not None and run.teacher.exists():
            arguments.append(f"{run.given_as}={run.teacher}")
        return flags.parse(["compare", *arguments], flag_values)
