"""Which arm to use: chosen on validation, judged once on the test images.

The rule is fixed before any run. One arm is the baseline. Of the others that
ship one network and cost as much to train, the best on validation is held
against it on the test images. It is recommended where the interval of that
difference is above zero; else the baseline is, which is the simpler one.
"""

import dataclasses
from collections.abc import Mapping
from collections.abc import Sequence

import numpy as np

from keras_graft.compare import summary
from keras_graft.compare.outcomes import Answers
from keras_graft.compare.records import Record
from keras_graft.compare.statistics import Difference
from keras_graft.compare.statistics import images_reach
from keras_graft.compare.statistics import mean_and_std
from keras_graft.compare.statistics import seeds_reach
from keras_graft.data.division import TEST_SHARE

# The first of them that a study has is the baseline.
_BASELINES = ("swa_long", "single_long", "swa", "single")
# What costs between the two times what the baseline does costs as much:
# whole epochs, and what a teacher's pass takes, do not come out even.
_SAME_COST = (0.75, 1.01)
# Seeds that are looked for at most.
_MOST_SEEDS = 100

# Which images an interval is about.
DRAWN = "drawn"  # by each seed, from all
FIXED = "fixed"  # the same for all seeds
UNKNOWN = "unknown"


@dataclasses.dataclass(frozen=True)
class Spread:
    """A difference, and where its interval comes from.

    Attributes:
        difference: Mean over seeds with its 95 % interval, for other images
            of the same kind too unless `images` is `UNKNOWN`.
        std: Sample standard deviation over the seeds; where they draw their
            test images, what so few images leave open at least.
        images: `DRAWN`, `FIXED` or `UNKNOWN`.
        tested: Test images of a seed; 0 where unknown.
        tested_share: Test images for each other one, where they are drawn;
            else 0.
        images_reach: What the fixed test images leave open; else 0.
    """

    difference: Difference
    std: float
    images: str
    tested: int
    tested_share: float
    images_reach: float

    @property
    def reach(self) -> float:
        """Half the width of the interval; NaN for one seed."""
        return self.reach_of(self.difference.pairs)

    def reach_of(self, seeds: int) -> float:
        """What it would be with another number of seeds."""
        return float(
            np.hypot(
                seeds_reach(self.std, seeds, self.tested_share),
                self.images_reach,
            )
        )

    def seeds_for(self, reach: float) -> int | None:
        """Seeds for an interval of that half width; None: none are enough."""
        return next(
            (n for n in range(2, _MOST_SEEDS + 1) if self.reach_of(n) <= reach),
            None,
        )


@dataclasses.dataclass(frozen=True)
class Judgement:
    """What a study says about what to use.

    Attributes:
        baseline: Name of the arm that the others are held against.
        candidates: Those that could be recommended in its place.
        chosen: The best of them on validation; None without any.
        against: Its test accuracy less the baseline's; None without.
        recommended: The arm to use.
    """

    baseline: str
    candidates: tuple[str, ...]
    chosen: str | None
    against: Spread | None
    recommended: str

    @property
    def tells(self) -> bool:
        """Whether the interval leaves no doubt which of the two is better."""
        if self.against is None:
            return False
        difference = self.against.difference
        return difference.low > 0 or difference.high < 0


def judge(
    records: Sequence[Record],
    answers: Mapping[tuple[str, int], Answers | None],
) -> Judgement:
    """Chooses on validation and judges on the test images.

    Args:
        records: Those of a study, at least one.
        answers: Of each arm and seed what it answered, where it is known.
    """
    by_arm = summary.by_arm(records)
    baseline = next((arm for arm in _BASELINES if arm in by_arm), None)
    if baseline is None:
        baseline = next(iter(by_arm))
    candidates = _candidates(by_arm, baseline)
    if not candidates:
        return Judgement(baseline, (), None, None, baseline)
    chosen = max(candidates, key=lambda arm: _validation(by_arm[arm]))
    against = spread(by_arm[chosen], by_arm[baseline], answers)
    ahead = against is not None and against.difference.low > 0
    return Judgement(
        baseline, candidates, chosen, against, chosen if ahead else baseline
    )


def spread(
    mine: Sequence[Record],
    theirs: Sequence[Record],
    answers: Mapping[tuple[str, int], Answers | None],
) -> Spread | None:
    """Test accuracy of an arm less that of another, paired by seed.

    Args:
        mine: Records of the arm.
        theirs: Of the other.
        answers: As for `judge`.

    Returns:
        None without a common seed.
    """
    a, b = summary.accuracy_by_seed(mine), summary.accuracy_by_seed(theirs)
    seeds = sorted(a.keys() & b.keys())
    if not seeds:
        return None
    mean, std = mean_and_std([a[seed] - b[seed] for seed in seeds])
    pairs = [
        (answers.get((mine[0].arm, seed)), answers.get((theirs[0].arm, seed)))
        for seed in seeds
    ]
    kind, share, reach, count = UNKNOWN, 0.0, 0.0, 0
    known = [one for pair in pairs for one in pair if one is not None]
    if len(known) == 2 * len(pairs):
        count = known[0].images
        by_image = [
            _right(one, mine[0].arm) - _right(two, theirs[0].arm)
            for one, two in pairs
        ]
        if len({one.checksum for one in known}) == 1:
            kind = FIXED
            reach = images_reach(np.mean(by_image, axis=0))
        else:
            kind = DRAWN
            share = TEST_SHARE / (1 - TEST_SHARE)
            # Few seeds may agree by chance, which images do not.
            std = max(std, float(np.std(by_image)) / count**0.5)
    found = Spread(
        Difference(mean, mean, mean, len(seeds)),
        std,
        kind,
        count,
        share,
        reach,
    )
    low, high = mean - found.reach, mean + found.reach
    return dataclasses.replace(
        found, difference=Difference(mean, low, high, len(seeds))
    )


def _right(answers, arm):
    """Which images an arm has right: 0 or 1, shape (images,)."""
    packed = np.frombuffer(bytes.fromhex(answers.right[arm]), np.uint8)
    return np.unpackbits(packed, count=answers.images).astype("float64")


def _candidates(by_arm, baseline):
    ships_one = [
        arm
        for arm, mine in by_arm.items()
        if arm != baseline and mine[0].shipped != "ensemble"
    ]
    cost = _cost(by_arm[baseline])
    least, most = (share * cost for share in _SAME_COST)
    same = [arm for arm in ships_one if least <= _cost(by_arm[arm]) <= most]
    return tuple(
        same or [arm for arm in ships_one if _cost(by_arm[arm]) <= most]
    )


def _cost(records):
    return mean_and_std([record.flops_train for record in records])[0]


def _validation(records):
    return mean_and_std([record.validation_accuracy for record in records])[0]
