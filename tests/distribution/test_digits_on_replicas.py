"""The digits recipe on one device and on two: one step, and whole runs.

The operations of one device and of two round differently, and ReLUs on whole
pixels amplify that: two runs part within a few steps, as they do with and
without oneDNN. So a step is held to its digits, and a run to what it is for.
"""

import contextlib

import numpy as np
import pytest
from absl import flags as absl_flags

from keras_graft import flags
from keras_graft.runs import recipe
from keras_graft.runs.batches import TrainingData
from keras_graft.runs.batches import evaluation_data
from keras_graft.runs.batches import load_splits
from keras_graft.runs.callbacks import make_graft_callback

SEEDS = range(3)


def parse(*arguments):
    values = absl_flags.FlagValues()
    flags.define(values)
    return flags.parse(["launch", *arguments], values)


def make(settings, splits, strategy):
    scope = contextlib.nullcontext() if strategy is None else strategy.scope()
    with scope:
        return recipe.make_trainer(settings, splits)


def weights_of(trainer):
    return {
        f"network_{k}/{i}/{weight.name}": weight.numpy()
        for k, network in enumerate(trainer.networks)
        for i, weight in enumerate(network.weights)
    }


@pytest.mark.slow
def test_one_step_agrees_to_five_digits(two_replicas):
    settings = parse("--num_networks=2")
    splits = load_splits(settings)
    ends = []
    for strategy in (None, two_replicas):
        trainer = make(settings, splits, strategy)
        before = weights_of(trainer)
        data = TrainingData(settings, splits).from_epoch(0)
        trainer.fit(data, steps_per_epoch=1, verbose=0)
        ends.append(weights_of(trainer))
    one, two = ends
    moved = 0
    for name in one:
        largest = np.abs(one[name]).max()
        apart = np.abs(one[name] - two[name]).max()
        assert apart <= 1e-5 * largest, name
        moved += np.abs(one[name] - before[name]).max() > 1e-4 * largest
    # A step that does nothing agrees, too.
    assert moved > len(one) / 2


@pytest.mark.slow
def test_runs_reach_the_same_accuracy_over_seeds(two_replicas):
    found = {}
    for strategy in (None, two_replicas):
        for seed in SEEDS:
            settings = parse(
                f"--seed={seed}",
                "--num_networks=2",
                "--train_examples=640",
                "--epochs=4",
            )
            splits = load_splits(settings)
            trainer = make(settings, splits, strategy)
            trainer.fit(
                TrainingData(settings, splits),
                epochs=settings.epochs,
                callbacks=[make_graft_callback(settings)],
                verbose=0,
            )
            logs = trainer.evaluate(
                evaluation_data(settings, splits, splits.test),
                verbose=0,
                return_dict=True,
            )
            found.setdefault(strategy is None, []).append(logs["accuracy"])
    one, two = (np.array(found[key]) for key in (True, False))
    assert one.mean() > 0.8
    # Three standard errors of the difference between two means of seeds.
    spread = np.sqrt((one.var(ddof=1) + two.var(ddof=1)) / len(SEEDS))
    assert abs(one.mean() - two.mean()) <= max(3 * spread, 0.01)
