"""Batches that do not split evenly over two replicas."""

import logging

import keras
import numpy as np
import pytest
import tensorflow as tf
from replica_equivalence import for_empty_batches

import keras_graft
from keras_graft.checkpoint.training_state import assign_arrays
from keras_graft.checkpoint.training_state import read_arrays

BATCH = 8


class Batches(keras.utils.PyDataset):
    def __init__(self, x, y):
        super().__init__()
        self.arrays = x, y

    def __len__(self):
        return -(-len(self.arrays[0]) // BATCH)

    def __getitem__(self, i):
        part = slice(i * BATCH, (i + 1) * BATCH)
        return tuple(array[part] for array in self.arrays)


def as_dataset(x, y):
    return tf.data.Dataset.from_tensor_slices((x, y)).batch(BATCH)


# What `fit` and `evaluate` are given for the same examples.
KINDS = {
    "arrays": lambda x, y: {"x": x, "y": y, "batch_size": BATCH},
    "dataset": lambda x, y: {"x": as_dataset(x, y)},
    "generator": lambda x, y: {"x": (batch for batch in Batches(x, y))},
    "PyDataset": lambda x, y: {"x": Batches(x, y)},
    "views": lambda x, y: {
        "x": as_dataset({"network_0": x, "network_1": x}, y)
    },
}
# Keras says it of every generator that ends.
ends = pytest.mark.filterwarnings("ignore:Your input ran out of data")
in_every_kind = pytest.mark.parametrize("given", KINDS.values(), ids=KINDS)


@pytest.fixture(scope="module")
def made(two_replicas):
    """A trainer on two replicas, and the state that it began with."""
    with two_replicas.scope():
        trainer = keras_graft.GraftTrainer(
            [for_empty_batches(k) for k in range(2)]
        )
        trainer.compile(
            [
                keras.optimizers.SGD(0.1, momentum=0.9),
                keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1)),
            ],
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
        )
        trainer.optimizer.build_for(trainer.networks)
    return trainer, read_arrays(trainer)


@pytest.fixture
def trainer(made):
    trainer, state = made
    assign_arrays(trainer, state)
    return trainer


@pytest.fixture(scope="module")
def after_two_batches(made):
    """The state after two whole batches."""
    trainer, state = made
    assign_arrays(trainer, state)
    trainer.fit(as_dataset(*examples(2 * BATCH)), verbose=0)
    return read_arrays(trainer)


def examples(size):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(size, 8, 8, 1)).astype("float32")
    return x, np.arange(size, dtype="int32") % 4


def assert_same_state(found, expected):
    assert set(found) == set(expected)
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


@ends
@in_every_kind
def test_incomplete_last_batch_is_not_trained_on(
    trainer, after_two_batches, given, caplog
):
    # The third batch has 5 examples: 3 for one replica, 2 for the other.
    history = trainer.fit(**given(*examples(21)), shuffle=False, verbose=0)
    assert_same_state(read_arrays(trainer), after_two_batches)
    assert trainer.status == ["live", "live"]
    assert "5 of the 21 training examples of an epoch" in caplog.text
    assert np.isfinite(history.history["loss"]).all()


def test_last_batch_that_leaves_a_replica_empty_is_not_trained_on(
    trainer, made, caplog
):
    validation = as_dataset(*examples(9))
    histories = []
    for size in (16, 17):
        assign_arrays(trainer, made[1])
        x, y = examples(size)
        x[16:] = np.nan
        history = trainer.fit(
            as_dataset(x, y), validation_data=validation, verbose=0
        )
        histories.append(history.history)
        assert trainer.status == ["live", "live"]
    assert "1 of the 17 training examples of an epoch" in caplog.text
    # What is left out counts in no log, and changes no later one.
    assert histories[0] == histories[1]


def test_logs_and_warning_leave_whole_batches_alone(trainer, caplog):
    with caplog.at_level(logging.WARNING):
        trainer.fit(as_dataset(*examples(16)), verbose=0)
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("fit", "size"),
    [
        # Known before anything is drawn.
        ({"x": examples(18)[0], "y": examples(18)[1], "batch_size": 9}, 9),
        ({"x": examples(1)[0], "y": examples(1)[1]}, 1),
        (
            {
                "x": examples(70)[0],
                "y": examples(70)[1],
                "batch_size": 64,
                "validation_split": 0.5,
            },
            35,
        ),
        (
            {
                "x": tf.data.Dataset.from_tensor_slices(examples(18)).batch(
                    9, drop_remainder=True
                )
            },
            9,
        ),
        # Known when the first batch is there.
        (
            {"x": tf.data.Dataset.from_tensor_slices(examples(18)).batch(9)},
            9,
        ),
        ({"x": Batches(*examples(3))}, 3),
    ],
)
def test_data_of_which_nothing_would_be_left_is_refused(
    trainer, made, fit, size
):
    told = f"A batch of {size} training.*over 2 replicas.*multiple of 2"
    with pytest.raises(ValueError, match=told):
        trainer.fit(**fit, verbose=0)
    assert_same_state(read_arrays(trainer), made[1])


@ends
@in_every_kind
def test_evaluation_counts_every_example_once(trainer, given):
    # The last batch has one example, so that a replica has none.
    x, y = examples(17)
    logs = trainer.evaluate(**given(x, y), verbose=0, return_dict=True)
    for k, network in enumerate(trainer.networks):
        logits = network(x, training=False).numpy().astype("float64")
        accuracy = np.mean(logits.argmax(-1) == y)
        log_sum = np.log(np.exp(logits).sum(-1))
        loss = np.mean(log_sum - logits[np.arange(17), y])
        np.testing.assert_allclose(
            [logs[f"network_{k}_accuracy"], logs[f"network_{k}_loss"]],
            [accuracy, loss],
            atol=1e-6,
        )


def test_prediction_of_one_example_needs_no_other(trainer):
    x, _ = examples(9)
    whole = trainer.predict(x, batch_size=BATCH, verbose=0)
    assert whole.shape == (9, 4)
    one = trainer.predict(x[-1:], verbose=0)
    np.testing.assert_allclose(whole[-1:], one, atol=1e-6)
