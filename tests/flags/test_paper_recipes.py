"""The arms of the paper: each recipe is what its name says."""

import pytest
from absl import flags as absl_flags

from keras_graft import flags
from keras_graft.flags import flagfiles

GRAFT = {
    "num_networks": 2,
    "graft": True,
    "graft_source": "external",
    "graft_criterion": "entropy",
    "graft_amplitude": 0.4,
    "graft_slope": 500.0,
    "graft_blend": "block",
    "graft_every": 1,
}
DIFFERENT_RATES = {
    **GRAFT,
    "learning_rate_spread": "ring",
    "schedule": "cosine",
}
ABLATION = [
    (0.4, 1),
    (0.4, 5),
    (0.4, 10),
    (0.4, 50),
    (0.4, 100),
    (0.0, 100),
    (0.2, 100),
    (0.6, 100),
    (0.8, 100),
    (1.0, 100),
]

# What each arm has that the baseline has not.
ARMS = {
    "base": {},
    "baseline": {},
    "slr": GRAFT,
    "dlr": DIFFERENT_RATES,
    **{f"dlr{n}": {**DIFFERENT_RATES, "num_networks": n} for n in (3, 4, 6, 8)},
    "l1": {**GRAFT, "graft_criterion": "l1"},
    "gamma": {
        "num_networks": 2,
        "graft": True,
        "graft_criterion": "gamma",
        "model": "vgg16",
    },
    "internal": {
        "graft": True,
        "graft_source": "internal",
        "graft_threshold": 0.1,
    },
    "noise": {"graft": True, "graft_source": "noise", "graft_threshold": 0.1},
    "dml": {
        "num_networks": 2,
        "mutual_weight": 1.0,
        "mutual_temperature": 1.0,
        "batches": "shared",
    },
    "kd": {},
    "grafting_plus": {
        **GRAFT,
        "graft_slope": 10.0,
        "learning_rate_spread": "ring",
    },
    "reason": {"invalid_threshold": 0.1},
    "reason_small": {
        "dataset": "cifar10_16",
        "train_examples": 15000,
        "validation_fraction": 0.1,
        "batch_size": 32,
        "epochs": 18,
        "schedule": "constant",
    },
    **{
        f"a{str(a).rstrip('0').rstrip('.').replace('.', '')}_c{c}": {
            **GRAFT,
            "graft_amplitude": a,
            "graft_slope": float(c),
        }
        for a, c in ABLATION
    },
}


def parse(*arguments):
    flag_values = absl_flags.FlagValues()
    flags.define(flag_values)
    return flags.parse(["launch", "--workdir=w", *arguments], flag_values)


def paper(name, *arguments):
    return parse(f"--flagfile=paper/{name}.flags", *arguments)


def test_every_recipe_of_the_paper_is_tested_here():
    recipes = [r for r in flagfiles.recipes() if r.startswith("paper/")]
    names = [*ARMS, "imagenet_resnet18", "imagenet_resnet50", "market1501"]
    assert recipes == sorted(f"paper/{name}.flags" for name in names)


@pytest.mark.parametrize("name", ARMS)
def test_an_arm_differs_from_the_baseline_in_what_it_is_named_for(name):
    assert paper(name) == paper("baseline")._replace(**ARMS[name])


def test_the_baseline_is_the_recipe_of_the_paper():
    values = paper("baseline")
    assert values.dataset == "cifar10"
    assert values.augment == "standard"
    # The paper chose networks on the test set.
    assert values.validation_fraction == 0.0
    assert values.batches == "own"
    assert values.model == "mobilenetv2"
    assert values.num_networks == 1
    assert values.epochs == 200
    assert values.batch_size == 128
    assert values.learning_rate == 0.1
    assert values.learning_rate_spread == "none"
    assert values.schedule == "step"
    assert values.momentum == 0.9
    assert values.weight_decay == 5e-4
    assert not values.graft
    assert values.mutual_weight == 0.0
    assert values.teachers == ()


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_imagenet_has_the_recipe_of_the_code(name):
    values = paper(f"imagenet_{name}")
    assert values.dataset == "tfds:imagenet2012"
    assert values.model == name
    assert values.image_size == 224
    assert values.augment == "resized_crop"
    # Its validation images test and choose.
    assert values.validation_fraction == 0.0
    assert values.epochs == 90
    assert values.batch_size == 256
    assert values.learning_rate == 0.1
    assert values.learning_rate_spread == "none"
    assert values.schedule == "cosine"
    assert values.momentum == 0.9
    assert values.weight_decay == 1e-4
    for flag, value in GRAFT.items():
        assert getattr(values, flag) == value


@pytest.mark.parametrize("name", ["kd", "grafting_plus"])
def test_teachers_teach_with_the_weight_and_temperature_of_the_paper(
    name, tmp_path
):
    teacher = tmp_path / "teacher.keras"
    teacher.touch()
    values = paper(name, f"--teachers={teacher}")
    assert values.teachers == (str(teacher),)
    assert values.teacher_weight == 1.0
    assert values.teacher_temperature == 2.0
    assert values.mutual_weight == 0.0


@pytest.mark.parametrize("name", [name for name in ARMS if name != "base"])
def test_an_arm_holds_a_few_lines_on_a_common_base(name):
    path = flagfiles.recipes_folder() / "paper" / f"{name}.flags"
    lines = path.read_text(encoding="utf-8").splitlines()
    held = [line for line in lines if line and not line.startswith("#")]
    assert held[0].startswith("--flagfile=paper/")
    assert len(held) <= 7


@pytest.mark.parametrize("name", ["reason", "reason_small"])
def test_filters_without_a_gradient_become_invalid_before_the_rate_falls(name):
    values = paper(name)
    # Images of the training split: all of CIFAR-10, or what is asked for.
    images = values.train_examples or 50_000
    images -= round(images * values.validation_fraction)
    high = 0.3 if values.schedule == "step" else 1.0
    steps = round(high * values.epochs) * (images // values.batch_size)
    shrinking = values.learning_rate * values.weight_decay
    shrinking /= 1 - values.momentum
    # The l1 norm of a new depthwise filter of 3x3 weights.
    assert 1.5 * (1 - shrinking) ** steps < values.invalid_threshold


def test_layer_level_arm_of_vgg_is_reached_from_the_filter_level_one():
    values = paper("gamma", "--graft_criterion=entropy", "--graft_slope=500")
    assert values == paper("slr")._replace(model="vgg16")


@pytest.mark.parametrize("name", ["reason", "reason_small"])
def test_reason_can_be_run_with_grafting(name):
    values = paper(name, "--num_networks=2", "--graft")
    assert values.graft
    assert values.num_networks == 2


def test_market1501_has_what_the_paper_says_of_recognition():
    values = paper("market1501")
    assert values.task == "recognition"
    assert values.dataset.startswith("market1501:")
    assert values.validation_fraction == 0.0
    assert values.epochs == 60
    assert values.batch_size == 32
    assert values.learning_rate == 0.1
    assert values.learning_rate_spread == "ring"
    assert values.metric_loss == "none"
    assert values.graft_slope == 500.0
    assert values.mutual_weight == 0.0
