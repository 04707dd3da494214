"""Flags of recognition: what goes together, and what is refused at once."""

import pytest
from absl import flags as absl_flags

from keras_graft import flags

RECOGNITION = ("--task=recognition", "--dataset=market1501:people")


def parse(*arguments):
    values = absl_flags.FlagValues()
    flags.define(values)
    return flags.parse(["launch", *arguments], values)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("--dataset=duke:x",), "Add --task=recognition"),
        (("--task=recognition", "--dataset=cifar10"), "no gallery"),
        (("--task=recognition", "--dataset=npz:x"), "no gallery"),
        (("--task=recognition", "--dataset=tfds:x"), "no gallery"),
        (("--task=recognitoin",), "did you mean recognition?"),
        (("--pooling=average",), "nobody is recognised"),
        ((*RECOGNITION, "--augment=standard"), "it is for classification"),
        ((*RECOGNITION, "--steps_per_epoch=9"), "it is for classification"),
        ((*RECOGNITION, "--metric_loss=circle"), "--images_per_identity=4"),
        ((*RECOGNITION, "--images_per_identity=5"), "such as 60"),
        ((*RECOGNITION, "--images_per_identity=64"), "such as 128"),
        ((*RECOGNITION, "--images_per_identity=1"), "an integer in [2"),
        ((*RECOGNITION, "--metric_loss_weight=2"), "identities alone"),
        ((*RECOGNITION, "--camera_pattern=_c(.)"), "only folder:PATH"),
        ((*RECOGNITION, "--camera_pattern=c"), "with one group"),
        ((*RECOGNITION, "--image_shape=256"), "such as 256x128"),
        ((*RECOGNITION, "--image_shape=4x4"), "8 pixels or more"),
        ((*RECOGNITION, "--judged_on=digits"), "one of folder:PATH"),
        (
            ("--task=recognition", "--judged_on=duke:x"),
            "digits are grey, of 8 x 8",
        ),
        ((*RECOGNITION, "--strategy=multiworker"), "on one host"),
        (
            (*RECOGNITION, "--num_networks=1", "--similarity_weight=1"),
            "one network is alone",
        ),
        (("--warmup_epochs=20",), "is not below --epochs=20"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, message):
    with pytest.raises((absl_flags.Error, ValueError)) as error:
        parse(*arguments)
    assert message in str(error.value)


def test_flags_of_recognition_are_repeated_by_their_text(tmp_path):
    given = parse(
        "--task=recognition",
        "--dataset=folder:people",
        r"--camera_pattern=_c(\d+)",
        "--judged_on=market_layout:others",
        "--image_shape=64x032",
        "--images_per_identity=4",
        "--metric_loss=soft_triplet",
        "--warmup_epochs=1.5",
    )
    assert given.image_shape == "64x32"
    file = tmp_path / "flags.txt"
    file.write_text(flags.flags_text(given))
    assert parse(f"--flagfile={file}") == given


def test_flags_of_a_classification_are_as_before():
    text = flags.flags_text(parse())
    assert "task" not in text
    assert "metric_loss" not in text


def test_recipe_for_digits_may_be_made_a_classification():
    """Its flags of recognition lose their meaning, and are left out."""
    given = parse("--flagfile=digits_retrieval.flags", "--task=classification")
    assert given.metric_loss == "none"
    assert given.images_per_identity is None


@pytest.mark.parametrize("name", ["market1501", "duke"])
def test_recipes_of_people_have_the_strong_baseline(name):
    given = parse(f"--flagfile={name}.flags")
    assert given.dataset.startswith(f"{name}:")
    assert given.model == "resnet50"
    assert (given.batch_size, given.images_per_identity) == (64, 4)
    assert (given.epochs, given.warmup_epochs) == (120, 10.0)
    assert (given.pad, given.flip, given.erasing) == (10, True, 0.5)
    assert given.metric_loss == "triplet"
    assert given.label_smoothing == 0.1
    assert given.last_stride_1 and given.neck
