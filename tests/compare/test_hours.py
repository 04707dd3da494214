"""Which plan fits into some hours: numbers in, a plan out."""

import itertools

import pytest

from keras_graft.compare import arms
from keras_graft.compare import hours
from keras_graft.compare.hours import Choice
from keras_graft.compare.hours import Wish

STEPS = 25


def seconds(choice):
    """30 s beside each run, 1 s for an epoch of each arm."""
    return choice.num_seeds * len(choice.arms) * (30 + choice.epochs)


def test_the_least_is_two_arms_three_seeds_and_five_hundred_steps():
    least = hours.smallest(Wish(), STEPS)
    assert least == Choice(("swa_long", "mutual:average"), 3, 20)
    assert hours.choose(seconds(least), seconds, Wish(), STEPS) == least
    assert hours.choose(seconds(least) - 1, seconds, Wish(), STEPS) is None


def test_many_steps_in_an_epoch_need_eight_epochs_at_least():
    assert hours.epochs_range(Wish(), 1000) == (8, 100)
    assert hours.epochs_range(Wish(), STEPS) == (20, 400)


def test_plan_fits_and_one_epoch_more_would_not():
    choice = hours.choose(1000, seconds, Wish(), STEPS)
    assert choice == Choice(("swa_long", "mutual:average"), 3, 136)
    assert seconds(choice) <= 1000
    assert seconds(choice._replace(epochs=choice.epochs + 1)) > 1000


def test_more_time_never_makes_a_smaller_plan():
    found = [
        hours.choose(600 + 300 * i, seconds, Wish(), STEPS) for i in range(80)
    ]
    for before, after in itertools.pairwise(found):
        assert len(after.arms) >= len(before.arms)
        assert after.num_seeds >= before.num_seeds
    assert found[-1] == Choice(hours.ORDER, 10, 400)


@pytest.mark.parametrize(
    ("time", "arms_and_seeds"),
    [(800, (2, 3)), (1300, (2, 5)), (1950, (3, 5)), (8600, (4, 5))],
)
def test_time_goes_to_seeds_and_then_to_further_arms(time, arms_and_seeds):
    choice = hours.choose(time, seconds, Wish(), STEPS)
    assert (len(choice.arms), choice.num_seeds) == arms_and_seeds


def test_what_was_given_is_not_chosen():
    wish = Wish(("single", "swa"), 4, 30)
    choice = hours.choose(10_000, seconds, wish, STEPS)
    assert choice == Choice(("single", "swa"), 4, 30)
    # As many epochs as were given are the most, and fewer where they do not
    # fit, not fewer seeds or arms.
    short = hours.choose(4 * 2 * 55, seconds, wish, STEPS)
    assert short == Choice(("single", "swa"), 4, 25)
    assert hours.choose(300, seconds, wish, STEPS) is None


def test_few_epochs_that_were_given_are_the_least_too():
    assert hours.smallest(Wish(epochs=2), STEPS).epochs == 2


def test_hours_to_ask_for_are_enough_and_not_many_more():
    least = hours.smallest(Wish(), STEPS)
    asked = hours.hours_for(seconds(least), beside=60.0)
    left = hours.usable(3600 * asked - 60.0)
    assert hours.choose(left, seconds, Wish(), STEPS) == least
    assert left < 1.1 * seconds(least)


def test_arms_of_a_plan_are_arms():
    found = arms.resolve(list(hours.ORDER))
    assert [arm.name for arm in found] == [
        "swa_long",
        "mutual_average",
        "swa",
        "ensemble_average",
    ]
