"""What a study advises: chosen on validation, judged on the test images."""

import math

import numpy as np
import pytest
from compare_fixture import make_record

from keras_graft.compare import judgement
from keras_graft.compare.judgement import judge
from keras_graft.compare.judgement import spread
from keras_graft.compare.outcomes import Answers

SEEDS = range(5)


def make_arm(arm, accuracies, validation=0.5, **changes):
    return [
        make_record(
            arm, seed, accuracy, validation_accuracy=validation, **changes
        )
        for seed, accuracy in enumerate(accuracies)
    ]


def make_answers(records, rows, checksums):
    """Answers of one arm's records: rows of 0 and 1, an image each."""
    return {
        (record.arm, record.seed): Answers(
            len(row),
            checksum,
            {record.arm: np.packbits(np.array(row, bool)).tobytes().hex()},
        )
        for record, row, checksum in zip(records, rows, checksums, strict=True)
    }


LONG = make_arm("swa_long", [0.50, 0.51, 0.49, 0.50, 0.52])
AHEAD = make_arm("mutual_average", [0.54, 0.55, 0.53, 0.55, 0.55])
ALIKE = make_arm("mutual_average", [0.49, 0.53, 0.49, 0.51, 0.52])
BEHIND = make_arm("mutual_average", [0.46, 0.47, 0.45, 0.47, 0.47])


@pytest.mark.parametrize(
    ("arm", "tells", "recommended"),
    [
        (AHEAD, True, "mutual_average"),
        (ALIKE, False, "swa_long"),
        (BEHIND, True, "swa_long"),
    ],
)
def test_only_what_is_surely_better_takes_the_place_of_the_baseline(
    arm, tells, recommended
):
    found = judge([*LONG, *arm], {})
    assert found.baseline == "swa_long"
    assert found.chosen == "mutual_average"
    assert (found.tells, found.recommended) == (tells, recommended)


def test_test_accuracy_chooses_nothing():
    # The best on the test images is not the best on validation.
    loud = make_arm("graft_mutual", [0.7] * 5, validation=0.4)
    found = judge([*LONG, *AHEAD, *loud], {})
    assert found.candidates == ("graft_mutual", "mutual_average")
    assert found.recommended == "mutual_average"


def test_ensembles_dear_and_cheap_arms_are_no_candidates():
    records = [
        *LONG,
        *ALIKE,
        *make_arm("ensemble_average", [0.9] * 5, 0.9, shipped="ensemble"),
        *make_arm("distillation", [0.9] * 5, 0.9, flops_train=2000),
        *make_arm("swa", [0.9] * 5, 0.9, flops_train=500),
    ]
    assert judge(records, {}).candidates == ("mutual_average",)
    without = [record for record in records if record.arm != "mutual_average"]
    assert judge(without, {}).candidates == ("swa",)


def test_one_seed_tells_nothing():
    found = judge([LONG[0], AHEAD[0]], {})
    assert math.isnan(found.against.reach)
    assert not found.tells
    assert found.recommended == "swa_long"


def test_an_arm_alone_is_its_own_recommendation():
    found = judge(LONG, {})
    assert (found.chosen, found.recommended) == (None, "swa_long")
    assert not found.tells


def test_images_that_all_seeds_share_widen_the_interval():
    mine, theirs = AHEAD[:2], LONG[:2]
    a = [[1, 1, 1, 0], [1, 0, 1, 1]]
    b = [[1, 0, 0, 0], [1, 0, 1, 0]]
    answers = {
        **make_answers(mine, a, [7, 7]),
        **make_answers(theirs, b, [7, 7]),
    }
    alone = spread(mine, theirs, {})
    both = spread(mine, theirs, answers)
    by_image = np.mean(np.array(a) - np.array(b), axis=0)
    images = 1.959964 * by_image.std(ddof=1) / 2
    assert alone.images == judgement.UNKNOWN
    assert (both.images, both.tested) == (judgement.FIXED, 4)
    assert both.difference.mean == alone.difference.mean
    assert both.reach == pytest.approx(math.hypot(alone.reach, images))
    assert both.difference.high == both.difference.mean + both.reach


def test_images_that_each_seed_draws_widen_the_interval():
    mine, theirs = AHEAD[:3], LONG[:3]
    rows = [[1] * 25] * 3
    answers = {
        **make_answers(mine, rows, [1, 2, 3]),
        **make_answers(theirs, rows, [1, 2, 3]),
    }
    alone = spread(mine, theirs, {})
    both = spread(mine, theirs, answers)
    assert both.images == judgement.DRAWN
    # A fifth of all images tests, a quarter of the others: 1/3 + 1/4.
    assert both.reach == pytest.approx(alone.reach * (7 / 4) ** 0.5)


def test_seeds_that_agree_by_chance_do_not_make_the_interval_nothing():
    mine = make_arm("mutual_average", [0.6, 0.6])
    theirs = make_arm("swa_long", [0.5, 0.5])
    answers = {
        **make_answers(mine, [[1, 0] * 5, [0, 1] * 5], [1, 2]),
        **make_answers(theirs, [[0, 1] * 5, [1, 0] * 5], [1, 2]),
    }
    found = spread(mine, theirs, answers)
    # Differences of 1 and -1: a standard deviation of 1, ten images.
    assert found.std == pytest.approx(0.1**0.5)
    assert found.reach > 1


def test_seeds_for_a_narrower_interval():
    found = spread(ALIKE, LONG, {})
    seeds = found.seeds_for(found.reach / 2)
    assert found.reach_of(seeds) <= found.reach / 2
    assert found.reach_of(seeds - 1) > found.reach / 2
    rows = [[1] * 100] * 5
    answers = {
        **make_answers(ALIKE, rows, SEEDS),
        **make_answers(LONG, rows, SEEDS),
    }
    # Seeds that share images have something in common, however many.
    assert spread(ALIKE, LONG, answers).seeds_for(found.reach / 2) is None
