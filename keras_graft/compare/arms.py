"""What is compared: each arm is flags over those of the study."""

import dataclasses
import difflib

from keras_graft.flags import flagfiles

# The tuned single network: every difference is taken to it.
BASELINE = "single"
# The rival at the cost of N networks.
EQUAL_COST_BASELINE = "single_long"
# What the same budget buys elsewhere.
RIVALS = (
    BASELINE,
    EQUAL_COST_BASELINE,
    "swa",
    "swa_long",
    "best_of_n",
    "ensemble",
    "ensemble_average",
    "averaging",
    "mutual",
    "distillation",
    "born_again",
)


# From which share of the epochs on an arm's weights are averaged.
SWA_START = 0.75
# Whom this package's best arm is held against first. See results/PLAN.md.
PRIMARY_RIVALS = (
    EQUAL_COST_BASELINE,
    "swa_long",
    "best_of_n",
    "mutual",
    "ensemble",
    # Not in the plan: added when a search had found it strong.
    "born_again",
)


# What is trained before an arm: a network of `--teacher_model` that teaches
# it; one of the arm's own architecture, weights averaged, that teaches it; or
# one up to the held learning rate, which all its networks begin with.
LARGER = "larger"
ITSELF = "itself"
TRUNK = "trunk"


@dataclasses.dataclass(frozen=True)
class Arm:
    """A way to spend a training budget, and what it ships.

    Attributes:
        name: Name in tables and on the command line.
        description: For people, one line.
        flags: Flags over the study's.
        shared_run: Name of the training run that arms share; empty: the arm
            has one of its own.
        long: Whether the epochs are the study's times its `--num_networks`.
        teacher: What it needs that has a training of its own: `LARGER`,
            `ITSELF`, `TRUNK`, or empty for nothing.
        average: Whether an average over the last epochs' weights is
            shipped.
        ensemble: Whether all networks are shipped, for the mean of their
            probabilities.
    """

    name: str
    description: str
    flags: tuple[str, ...]
    shared_run: str = ""
    long: bool = False
    teacher: str = ""
    average: bool = False
    ensemble: bool = False

    @property
    def run(self) -> str:
        """Name of the training run."""
        return self.shared_run or self.name


_ALONE = ("--num_networks=1", "--nograft", "--mutual_weight=0")
_INDEPENDENT = (
    "--nograft",
    "--mutual_weight=0",
    "--learning_rate_spread=none",
)
_GRAFT = ("--graft", "--learning_rate_spread=ring", "--mutual_weight=0")

_ARMS = (
    Arm(BASELINE, "one network, tuned", _ALONE),
    Arm(
        EQUAL_COST_BASELINE,
        "one network, N times the epochs",
        _ALONE,
        long=True,
    ),
    Arm(
        "swa", "one network, average of the last weights", _ALONE, average=True
    ),
    Arm(
        "swa_long",
        "one network, N times the epochs, average of the last weights",
        _ALONE,
        long=True,
        average=True,
    ),
    Arm(
        "best_of_n",
        "N networks on their own, the best on validation",
        _INDEPENDENT,
        shared_run="independent",
    ),
    Arm(
        "ensemble",
        "N networks on their own, all of them shipped",
        _INDEPENDENT,
        shared_run="independent",
        ensemble=True,
    ),
    Arm(
        "ensemble_average",
        "N networks on their own, averages of their last weights, all of them "
        "shipped",
        _INDEPENDENT,
        average=True,
        ensemble=True,
    ),
    Arm(
        "averaging",
        "N networks, plain averaging with the peer",
        (*_GRAFT, "--graft_amplitude=0"),
    ),
    Arm(
        "mutual",
        "N networks, mutual distillation",
        ("--nograft", "--learning_rate_spread=none", "--mutual_weight=1"),
    ),
    *(
        Arm(
            f"graft_slope_{slope}",
            f"N networks, graft with slope {slope}",
            (*_GRAFT, "--graft_amplitude=0.4", f"--graft_slope={slope}"),
        )
        for slope in (1, 10, 500)
    ),
    Arm(
        "graft_mutual",
        "N networks, graft (slope 10) and mutual distillation",
        (
            "--graft",
            "--learning_rate_spread=ring",
            "--graft_amplitude=0.4",
            "--graft_slope=10",
            "--mutual_weight=1",
        ),
    ),
    Arm(
        "distillation",
        "one network, taught by a larger one",
        _ALONE,
        teacher=LARGER,
    ),
    Arm(
        "born_again",
        "one network, then one that its averaged weights teach; average of "
        "the last weights",
        _ALONE,
        teacher=ITSELF,
        average=True,
    ),
    Arm(
        "fork_late",
        "one network up to the held learning rate, then N copies, mutual "
        "distillation; mean of their averages",
        (
            "--nograft",
            "--learning_rate_spread=none",
            "--mutual_weight=1",
            "--ship=mean",
        ),
        teacher=TRUNK,
        average=True,
    ),
    Arm(
        "grafting_plus",
        "N networks, graft (slope 10), taught by a larger one",
        (*_GRAFT, "--graft_amplitude=0.4", "--graft_slope=10"),
        teacher=LARGER,
    ),
)
ARMS = {arm.name: arm for arm in _ARMS}
# Behind an arm's name.
_AVERAGE = ":average"


def resolve(names: list[str]) -> tuple[Arm, ...]:
    """The arms of a list of names and flagfiles.

    Args:
        names: Names of `ARMS`; `FILE.flags` is an arm of its own, called
            like the file, described by its first comment. With `:average`
            behind it an arm ships an average of weights.

    Returns:
        The arms, each once, in the order given.

    Raises:
        ValueError: For a name that is none, with those that are.
    """
    found = {}
    for given in names:
        name, average = given.removesuffix(_AVERAGE), given.endswith(_AVERAGE)
        arm = _from_file(name) if name.endswith(".flags") else ARMS.get(name)
        if arm is not None and average:
            arm = _averaged(arm)
        if arm is None:
            near = difflib.get_close_matches(name, ARMS, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise ValueError(
                f"There is no arm {name!r}.{hint} It must be one of "
                f"{', '.join(ARMS)}, or a flagfile FILE.flags; with "
                f"{_AVERAGE} behind it, it ships an average of weights."
            )
        found[arm.name] = arm
    return tuple(found.values())


def _averaged(arm: Arm) -> Arm:
    if arm.average or arm.ensemble:
        raise ValueError(
            f"{arm.name}{_AVERAGE}: only an arm that ships one network, and "
            "not an average already, can be averaged."
        )
    return dataclasses.replace(
        arm,
        name=f"{arm.name}_average",
        description=f"{arm.description}; average of the last weights",
        shared_run="",
        average=True,
    )


def _from_file(name: str) -> Arm:
    path = flagfiles.find(name)
    taken = {*ARMS, *(arm.run for arm in _ARMS)}
    if path.stem in taken or not path.stem.isidentifier():
        raise ValueError(
            f"The arm of {path} would be called {path.stem!r}. Give the file "
            "a name of letters, digits and _ that is none of "
            f"{', '.join(sorted(taken))}."
        )
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    description = first.lstrip("#/ ").strip() if first[:1] in "#/" else ""
    return Arm(path.stem, description or path.stem, (f"--flagfile={path}",))
