"""What is no use is refused when it is made, in the package's words."""

import numpy as np
import pytest
from builders import compiled
from builders import small_network
from builders import small_networks

import keras_graft
from keras_graft import grafting
from keras_graft.optimizers import CoupledSGD
from keras_graft.optimizers import HeldSchedule
from keras_graft.swa import StochasticWeightAveraging

NAN = float("nan")
ARRAYS = np.zeros((8, 2)), np.zeros(8)


def ordered(arrays=ARRAYS, batch_size=4, seed=0):
    return keras_graft.data.EpochOrdered(
        arrays, batch_size=batch_size, seed=seed
    )


def trainer(**arguments):
    return keras_graft.GraftTrainer(small_networks(2), **arguments)


def trained(**arguments):
    x = np.zeros((8, 8, 8, 1))
    data = {"x": x, "y": np.arange(8) % 4, "verbose": 0, **arguments}
    return compiled(trainer()).fit(**data)


WRONG = {
    "networks none": (lambda: keras_graft.GraftTrainer(None), "networks"),
    "networks one": (
        lambda: keras_graft.GraftTrainer(small_network()),
        "networks.*replicate",
    ),
    "monitor": (lambda: trainer(monitor=5), "monitor.*5"),
    "distillation": (lambda: trainer(distillation=5), "distillation.*5"),
    "teachers": (lambda: keras_graft.TeacherDistillation(None), "teachers"),
    "temperature": (
        lambda: keras_graft.MutualDistillation(temperature="x"),
        "temperature.*'x'",
    ),
    "batch_size": (lambda: ordered(batch_size=2.5), "batch_size=2.5"),
    "batch_size true": (lambda: ordered(batch_size=True), "batch_size=True"),
    "arrays": (lambda: ordered(arrays=None), "`arrays`.*None"),
    "seed": (lambda: ordered(seed="x"), "`seed`.*'x'"),
    "slope": (lambda: keras_graft.GraftCallback(slope="x"), "`slope`.*'x'"),
    "amplitude": (
        lambda: keras_graft.GraftCallback(amplitude=None),
        "`amplitude`.*None",
    ),
    "bins": (
        lambda: keras_graft.GraftCallback(num_bins=2**40),
        "`num_bins`.*1048576.*1099511627776",
    ),
    "threshold": (
        lambda: keras_graft.GraftCallback("internal", threshold="x"),
        "`threshold`.*'x'",
    ),
    "decay": (
        lambda: keras_graft.GraftCallback("noise", decay=NAN),
        "`decay`.*nan",
    ),
    "strict": (lambda: keras_graft.GraftCallback(strict=5), "`strict`.*5"),
    "bins of entropy": (
        lambda: grafting.kernel_entropy(np.ones(4), num_bins=2.5),
        "`num_bins`.*2.5",
    ),
    "kernel of entropy": (
        lambda: grafting.kernel_entropy(None),
        "array of numbers.*None",
    ),
    "kernel of L1": (
        lambda: grafting.kernel_l1(None),
        "array of numbers.*None",
    ),
    "slope of coefficient": (
        lambda: grafting.graft_coefficient(1.0, 2.0, 0.4, "x"),
        "`slope`.*'x'",
    ),
    "ring": (lambda: grafting.ring_learning_rates(0.1, 2.5), "n=2.5"),
    "ring base": (lambda: grafting.ring_learning_rates("x", 2), "base='x'"),
    "average": (lambda: StochasticWeightAveraging(NAN), "`start`.*nan"),
    "average half": (lambda: StochasticWeightAveraging(1.5), "`start`.*1.5"),
    "average batch": (
        lambda: StochasticWeightAveraging(1, batch_size=0),
        "`batch_size`.*0",
    ),
    "monitored": (
        lambda: keras_graft.InvalidFilterMonitor("x"),
        "Thresholds.*'x'",
    ),
    "diagnosed": (lambda: keras_graft.diagnose(None), "`model`.*None"),
    "directory": (lambda: keras_graft.RunCheckpoint(None), "`directory`"),
    "directory 2": (lambda: keras_graft.RunCheckpoint(""), "`directory`.*''"),
    "about": (lambda: keras_graft.RunCheckpoint("x", about=5), "`about`.*5"),
    "decay of SGD": (
        lambda: CoupledSGD(0.1, weight_decay="x"),
        "`weight_decay`.*'x'",
    ),
    "held step": (lambda: HeldSchedule(0.1, NAN), "`step`.*nan"),
    "held": (lambda: HeldSchedule(None, 1), "`schedule`.*None"),
    "callbacks": (lambda: trained(callbacks=[5]), "`callbacks`.*5"),
    "batch of fit": (lambda: trained(batch_size=2.5), "`batch_size`.*2.5"),
    "first epoch": (lambda: trained(initial_epoch=-1), "`initial_epoch`.*-1"),
    "execution": (
        lambda: compiled(trainer(), steps_per_execution="x"),
        "`steps_per_execution`.*'x'",
    ),
    "XLA": (
        lambda: compiled(trainer(), jit_compile="x"),
        "`jit_compile`.*'x'",
    ),
    "metric": (
        lambda: compiled(trainer(), metrics=["acuracy"]).fit(
            np.zeros((8, 8, 8, 1)), np.arange(8) % 4, verbose=0
        ),
        "metric.*acuracy",
    ),
    "labels": (lambda: trained(y=np.arange(8) % 4 - 1), "Labels.*-1"),
    "labels of validation": (
        lambda: trained(
            validation_data=(np.zeros((1, 8, 8, 1)), np.array([-1]))
        ),
        "Labels.*-1",
    ),
    "no data": (lambda: trained(x=None), "no training data"),
    "optimizer": (
        lambda: compiled(trainer(), optimizer="xx"),
        "`optimizer`.*'xx'",
    ),
}


@pytest.mark.parametrize(("make", "words"), WRONG.values(), ids=WRONG)
def test_a_wrong_argument_is_named_with_what_came(make, words):
    with pytest.raises(ValueError, match=f"(?s){words}"):
        make()


def test_whole_numbers_of_numpy_are_whole():
    assert ordered(batch_size=np.int64(4)).steps_per_epoch == 2
    keras_graft.GraftCallback(every=np.int32(2), slope=np.float32(3.0))
    StochasticWeightAveraging(np.int64(3))
    CoupledSGD(0.1, weight_decay=np.float32(0))
