"""The recipes that ship: each parses and says what it is."""

import pytest
from absl import flags as absl_flags

from keras_graft import flags
from keras_graft.flags import flagfiles


def parse(*arguments):
    flag_values = absl_flags.FlagValues()
    flags.define(flag_values)
    return flags.parse(["launch", *arguments], flag_values)


def test_recipes_of_the_readme_are_there():
    assert {
        "digits.flags",
        "cifar10.flags",
        "cifar100.flags",
        "cifar100_augmented.flags",
    } <= set(flagfiles.recipes())


@pytest.mark.parametrize("name", flagfiles.recipes())
def test_recipe_parses(name):
    assert parse(f"--flagfile={name}").num_networks >= 1


@pytest.mark.parametrize("name", flagfiles.recipes())
def test_recipe_opens_with_command_time_and_number(name):
    path = flagfiles.recipes_folder() / name
    head = path.read_text(encoding="utf-8").partition("\n\n")[0]
    assert all(line.startswith("#") for line in head.splitlines())
    assert "python -m keras_graft.launch" in head
    if name != flagfiles.DEFAULT_RECIPE:
        assert f"--flagfile={name}" in head
    assert "Time: " in head
    assert "Expect: " in head


def test_command_without_flags_runs_the_digits_recipe():
    assert parse() == parse("--flagfile=digits.flags")
    assert parse().dataset == "digits"
    assert parse().num_networks == 3


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_cifar_recipes_have_the_schedule_of_the_paper(name):
    values = parse(f"--flagfile={name}.flags")
    assert values.dataset == name
    assert values.model == "resnet32"
    assert values.epochs == 200
    assert values.batch_size == 128
    assert values.learning_rate == 0.1
    assert values.learning_rate_spread == "ring"
    assert values.schedule == "cosine"
    assert values.momentum == 0.9
    assert values.weight_decay == 5e-4
    assert values.augment == "standard"
    assert values.graft


def test_recipe_for_own_images_is_what_the_results_recommend():
    values = parse("--flagfile=own_images.flags", "--dataset=folder:x")
    assert values.dataset.startswith("folder:")
    assert values.num_networks == 2
    assert values.mutual_weight == 1.0
    assert not values.graft
    assert values.learning_rate_spread == "none"
    assert values.swa_start == 0.75


def test_augmented_recipe_changes_the_augmentation_only():
    base = parse("--flagfile=cifar100.flags", "--workdir=x")
    values = parse("--flagfile=cifar100_augmented.flags", "--workdir=x")
    assert values == base._replace(augment="randaugment")


def test_recipe_may_be_made_an_arm_by_flags_after_it():
    values = parse("--flagfile=cifar10.flags", "--nograft", "--mutual_weight=0")
    assert not values.graft
    assert values.mutual_weight == 0.0
