import itertools
import random

import numpy as np
import pytest
import tensorflow as tf

from keras_graft.data import order


def test_an_order_holds_every_example_once():
    for epoch in range(3):
        drawn = order.permutation(100, seed=0, epoch=epoch).numpy()
        np.testing.assert_array_equal(np.sort(drawn), np.arange(100))


def test_an_order_does_not_depend_on_what_was_drawn_before():
    first = order.permutation(100, seed=5, epoch=3).numpy()
    tf.random.set_seed(1)
    np.random.seed(1)
    random.seed(1)
    order.permutation(100, seed=5, epoch=2)
    again = order.permutation(100, seed=5, epoch=3).numpy()
    np.testing.assert_array_equal(again, first)


def test_an_order_is_the_same_in_a_graph():
    graph = tf.function(lambda epoch: order.permutation(100, 5, epoch, 2))
    np.testing.assert_array_equal(
        graph(tf.constant(3)), order.permutation(100, 5, 3, 2)
    )


def test_no_two_places_share_an_order_or_a_seed():
    orders, seeds = set(), set()
    for place in itertools.product(range(4), repeat=3):
        orders.add(order.permutation(50, *place).numpy().tobytes())
        for purpose in (order.ORDER, order.AUGMENT):
            pair = order.seed_pair(place[0], purpose, *place[1:])
            seeds.add(tuple(pair.numpy()))
    assert len(orders) == 4**3
    assert len(seeds) == 2 * 4**3


@pytest.mark.parametrize(
    "num_examples, batch_size, limit, steps",
    [(10, 10, None, 1), (19, 10, None, 1), (20, 10, None, 2), (50, 10, 3, 3)],
)
def test_only_whole_batches_count_as_steps(
    num_examples, batch_size, limit, steps
):
    assert order.steps_per_epoch(num_examples, batch_size, limit) == steps


@pytest.mark.parametrize(
    "arguments, message",
    [
        (
            (9, 10),
            "batch_size=10 must be a whole number from 1 .* 9: a batch larger",
        ),
        ((9, 0), "batch_size=0"),
        ((0, 1), "examples, 0"),
        ((25, 10, 3), "steps_per_epoch=3 must be from 1 to 2"),
        ((25, 10, 0), "steps_per_epoch=0 must be from 1 to 2"),
    ],
)
def test_steps_that_the_data_cannot_fill_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        order.steps_per_epoch(*arguments)
