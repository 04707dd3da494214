"""What a study with `--hours` says in the end, and the flagfile it advises."""

import math
import pathlib
import shlex
import textwrap
from collections.abc import Mapping
from collections.abc import Sequence

from keras_graft import flags
from keras_graft.compare import hours as fitting
from keras_graft.compare import judgement as judging
from keras_graft.compare import study as studies
from keras_graft.compare import summary
from keras_graft.compare.budget import Budget
from keras_graft.compare.judgement import Judgement
from keras_graft.compare.judgement import Spread
from keras_graft.compare.outcomes import Answers
from keras_graft.compare.page import Code
from keras_graft.compare.page import Points
from keras_graft.compare.page import Section
from keras_graft.compare.page import Table
from keras_graft.compare.records import Record
from keras_graft.compare.statistics import mean_and_std
from keras_graft.compare.study import Study

_FLAGFILE = "recommended.flags"
_FEW_SEEDS = 5
# Lines of `launch` that are not the recommendation's to say.
_NOT_ADVISED = ("--workdir=", "--resume=", "--plan", "--noplan")


def flagfile_path(study: Study) -> pathlib.Path:
    """Where the recommendation is."""
    return study.folder / _FLAGFILE


def flagfile(
    study: Study, arm: str, chosen: tuple[float, float], verdict: str
) -> str:
    """The recommendation as flags of `launch`.

    Args:
        study: The study, whose runs are done.
        arm: Name of the arm.
        chosen: Learning rate and weight decay of the study.
        verdict: Why, for the head of the file.
    """
    run = next(
        run
        for run in studies.arm_runs(study)
        if arm in [known.name for known in run.arms]
    )
    settings = studies.settings_of(study, run, chosen)
    lines = [
        line
        for line in flags.flags_text(settings).splitlines()
        if not line.startswith(_NOT_ADVISED)
    ]
    head = textwrap.wrap(verdict.replace("`", ""), 78)
    return "".join(f"{line}\n" for line in (*(f"# {h}" for h in head), *lines))


def verdict(judgement: Judgement, records: Sequence[Record]) -> str:
    """The answer in a sentence or two."""
    by_arm = summary.by_arm(records)
    baseline, chosen = judgement.baseline, judgement.chosen
    spread = judgement.against
    used = by_arm[judgement.recommended][0]
    what = f"`{used.arm}` ({used.description})"
    accuracy = _percent(_accuracy(by_arm[used.arm]))
    if spread is None:
        return (
            f"Nothing was compared with `{baseline}`, so this is no advice: "
            f"{what} has {accuracy} of the test images right."
        )
    seen = _with_interval(spread)
    if used.arm == chosen:
        return (
            f"Use {what}: {accuracy} of the test images right, {seen} points "
            f"beside `{baseline}`, and the interval is above zero."
        )
    if judgement.tells:
        return (
            f"Use {what}: {accuracy} of the test images right. `{chosen}` is "
            f"behind it: {seen} points. The interval is below zero."
        )
    return (
        f"Cannot tell. `{chosen}` less `{baseline}` is {seen} points: "
        f"{_doubt(spread)}. As long as nothing tells them apart, use the "
        f"simpler one, {what}: {accuracy} of the test images right."
    )


def sections(
    study: Study,
    judgement: Judgement,
    records: Sequence[Record],
    answers: Mapping[tuple[str, int], Answers | None],
    budget: Budget,
) -> list[Section]:
    """The page.

    Args:
        study: The study, as planned.
        judgement: What `judge` says of the records.
        records: Of the seeds that are done.
        answers: As for `judge`.
        budget: Its time.
    """
    by_arm = summary.by_arm(records)
    command = shlex.join(
        [
            *("python", "-m", "keras_graft.launch"),
            f"--flagfile={flagfile_path(study)}",
        ]
    )
    used = by_arm[judgement.recommended]
    first = [
        verdict(judgement, records),
        f"One training of it took {_mean(used, 'seconds') / 60:.1f} minutes "
        "here. What is shipped is one network, with the inference cost of "
        "one.",
    ]
    if judgement.against is not None and not judgement.tells:
        first += _what_would_tell(judgement.against, study, budget)
    return [
        Section("What to use on these images", [*first, Code(command)]),
        Section(
            "What was measured",
            [
                _table(by_arm, judgement.baseline, answers),
                _caption(judgement.baseline),
            ],
        ),
        Section("How it was judged", [Points(_protocol(judgement, by_arm))]),
        Section(
            "What it cannot tell",
            [Points(_open_questions(study, judgement, by_arm))],
        ),
        Section("Time", [_time(study, budget, records)]),
    ]


def _caption(baseline):
    return (
        "Differences are in percentage points, paired by seed, with a 95 % "
        "interval for each alone: of several, one may well be wrong. Costs "
        f"are operations, in those of `{baseline}`; minutes are of one "
        "training. ECE is the expected calibration error: how far the "
        "probabilities are off."
    )


def _table(by_arm, baseline, answers):
    base = by_arm[baseline]
    rows = []
    for arm in sorted(by_arm, key=lambda arm: arm != baseline):
        mine = by_arm[arm]
        found = judging.spread(mine, base, answers)
        rows.append(
            (
                f"`{arm}`: {mine[0].description}",
                _percent(_accuracy(mine)),
                "-" if arm == baseline else _with_interval(found),
                _ratio(mine, base, "flops_train"),
                f"{_mean(mine, 'seconds') / 60:.1f}",
                _ratio(mine, base, "flops_inference"),
                f"{100 * _mean(mine, 'ece'):.1f} %",
                f"{len(mine)}",
            )
        )
    head = (
        "arm",
        "test accuracy",
        f"minus `{baseline}`",
        "training cost",
        "minutes",
        "inference cost",
        "ECE",
        "seeds",
    )
    return Table(head, rows)


def _protocol(judgement, by_arm):
    base = by_arm[judgement.baseline]
    points = [
        "Fixed before the first run: of the arms that ship one network at "
        f"the training cost of `{judgement.baseline}` "
        f"({_names(judgement.candidates) or 'none'}), the best on the "
        "validation images is held against it on the test images, once, and "
        "is recommended if the interval is above zero.",
        f"{_seeds(len(base))}. A seed has its own split, order of images and "
        "initial weights, which the arms share.",
    ]
    spread = judgement.against
    if spread is not None and spread.difference.pairs > 1:
        points.append(
            {
                judging.DRAWN: (
                    f"Each seed draws its own {spread.tested} test images. "
                    "The interval allows for the seeds' sharing images "
                    "(Nadeau and Bengio, 2003), so it is wider than seeds "
                    "alone would have it."
                ),
                judging.FIXED: (
                    f"All seeds are tested on the same {spread.tested} "
                    "images. The interval has two parts: other seeds, and "
                    "other test images of the same kind "
                    f"(±{100 * spread.images_reach:.2f} points). It does "
                    "not cover other training images."
                ),
                judging.UNKNOWN: (
                    "Which test images were right is not known of every run, "
                    "so the interval is about other seeds alone: for other "
                    "images it is too narrow."
                ),
            }[spread.images]
        )
    return points


def _open_questions(study, judgement, by_arm):
    base = study.base
    tuned = len(study.grid) > 1
    points = []
    if len(by_arm[judgement.baseline]) < _FEW_SEEDS:
        points.append(
            f"How far seeds differ: {_seeds(len(by_arm[judgement.baseline]))} "
            "cannot say it well, so that the interval is wide, and itself "
            "uncertain."
        )
    points += [
        f"What more training does. Here N = {base.num_networks} networks had "
        f"{base.epochs} epochs. In this project's own study one network was "
        "ahead after 100 epochs, and two that teach each other after 400.",
        (
            "Other learning rates: they were tuned for the single network "
            "alone."
            if tuned
            else f"Other learning rates: all arms had {base.learning_rate:g}, "
            "which was not tuned (--tune_learning_rates)."
        ),
        "Other models, sizes and augmentations, and images of another kind "
        "than these.",
    ]
    left_out = [
        f"`{arm}`" for arm in map(_name_of, fitting.ORDER) if arm not in by_arm
    ]
    if left_out:
        points.append(
            f"Arms that were left out: {', '.join(left_out)} "
            "(`--help` of `compare` lists more)."
        )
    return points


def _what_would_tell(spread: Spread, study: Study, budget: Budget):
    """What it takes to know better."""
    if math.isnan(spread.reach):
        return ["One seed has no interval: two are needed, five are good."]
    seeds = spread.seeds_for(spread.reach / 2)
    if seeds is not None and seeds <= spread.difference.pairs:
        return []  # No spread at all: nothing to reckon with.
    if seeds is None:
        return [
            "More seeds would not halve that interval: it is as wide as it "
            f"is because of {spread.tested} test images. More images would."
        ]
    per_seed = budget.planned * budget.slowness / study.num_seeds
    more = (seeds - spread.difference.pairs) * per_seed / 3600
    return [
        f"An interval of half that width takes about {seeds} seeds, "
        f"{more:.2g} hours more: raise --num_seeds in plan.flags and --hours. "
        "Seeds that are added because an answer was not liked make an "
        "interval say more than it knows."
    ]


def _time(study, budget, records):
    seeds = {record.seed for record in records}
    text = (
        f"Planned {budget.planned / 3600:.2f} hours of runs, used "
        f"{budget.used() / 3600:.2f} of {budget.hours:g} hours, timing and "
        f"this page included. Seeds: {len(seeds)} of {study.num_seeds} "
        "planned."
    )
    if len(seeds) < study.num_seeds:
        text += (
            " The rest did not fit: the same command with more --hours goes "
            "on with it."
        )
    return text


def _doubt(spread):
    if math.isnan(spread.reach):
        return "one seed has no interval"
    return (
        "the interval holds zero, so either may be the better one; a "
        f"difference of less than {100 * spread.reach:.1f} points could not "
        "have been seen"
    )


def _with_interval(spread):
    return "-" if spread is None else summary.percent_points(spread.difference)


def _seeds(count):
    return f"{count} seed{'s' * (count > 1)}"


def _accuracy(records):
    return _mean(records, "test_accuracy")


def _mean(records, attribute):
    return mean_and_std([getattr(record, attribute) for record in records])[0]


def _ratio(mine, base, attribute):
    return f"{_mean(mine, attribute) / _mean(base, attribute):.2f} x"


def _percent(share):
    return f"{100 * share:.1f} %"


def _names(arms):
    return ", ".join(f"`{arm}`" for arm in arms)


def _name_of(given):
    return given.replace(":", "_")
