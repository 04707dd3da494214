"""Studies and records for the tests of the comparison."""

import dataclasses

import msgspec
from absl import flags as absl_flags

from keras_graft import flags
from keras_graft.compare import arms
from keras_graft.compare.records import Record
from keras_graft.compare.study import Study


def make_study(folder, *arguments, names=("single",), **changes):
    """A study on a few digits, two networks, one epoch."""
    flag_values = absl_flags.FlagValues()
    flags.define(flag_values)
    base = flags.parse(
        [
            "compare",
            "--flagfile=digits.flags",
            "--train_examples=120",
            "--num_networks=2",
            "--epochs=1",
            "--batch_size=32",
            f"--workdir={folder}",
            *arguments,
        ],
        flag_values,
    )
    study = Study(
        base=base,
        arms=arms.resolve(list(names)),
        num_seeds=1,
        learning_rates=(0.1,),
        weight_decays=(5e-4,),
        tuning_seeds=1,
        teacher_model="resnet8",
    )
    return dataclasses.replace(study, **changes)


def make_record(arm="single", seed=0, test_accuracy=0.5, **changes):
    """A record of one arm and one seed."""
    record = Record(
        arm=arm,
        description=f"the arm {arm}",
        seed=seed,
        dataset="digits",
        model="resnet8",
        num_networks=1,
        epochs=3,
        train_examples=100,
        flags=["--epochs=3"],
        shipped="network_0",
        test_accuracy=test_accuracy,
        best_epoch_test_accuracy=None,
        validation_accuracy=0.5,
        best_epoch=2,
        best_validation_accuracy=0.5,
        ensemble_test_accuracy=test_accuracy,
        ece=0.05,
        invalid_filters=3,
        total_filters=240,
        divergence=None,
        seconds=10.0,
        flops_train=1000,
        flops_inference=10,
        status=["live"],
        versions={"keras": "3"},
    )
    return msgspec.structs.replace(record, **changes)
