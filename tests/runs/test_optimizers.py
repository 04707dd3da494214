"""From the flags to what moves the weights."""

import keras
import numpy as np
import pytest
from absl import flags as absl_flags
from builders import small_networks

from keras_graft import flags
from keras_graft.optimizers.coupled_sgd import CoupledSGD
from keras_graft.runs import optimizers
from keras_graft.runs.exit_codes import RunError

STEPS = 10
# Of the decoupled kinds: a step that decay alone makes can be told.
DECAY = 0.1


def settings_of(*arguments):
    flag_values = absl_flags.FlagValues()
    flags.define(flag_values)
    words = [
        "launch",
        "--num_networks=1",
        "--learning_rate=0.01",
        "--schedule=constant",
        *arguments,
    ]
    return flags.parse(words, flag_values)


def made(*arguments, networks=None):
    (optimizer,) = optimizers.make_optimizers(
        settings_of(*arguments), networks or small_networks(1), STEPS
    )
    return optimizer


@pytest.mark.parametrize(
    ("arguments", "kind", "config"),
    [
        ((), CoupledSGD, {"momentum": 0.9, "weight_decay": 5e-4}),
        (
            ("--optimizer=adam", "--beta_1=0.8", "--clip_norm=2"),
            keras.optimizers.Adam,
            {"weight_decay": None, "beta_1": 0.8, "global_clipnorm": 2.0},
        ),
        (
            ("--optimizer=adamw", "--weight_decay=0.1", "--beta_2=0.9"),
            keras.optimizers.AdamW,
            {"weight_decay": 0.1, "beta_1": 0.9, "beta_2": 0.9},
        ),
        (
            ("--optimizer=lion", "--weight_decay=0.1"),
            keras.optimizers.Lion,
            {"weight_decay": 0.1, "beta_2": 0.99},
        ),
        (
            ("--optimizer=muon", "--momentum=0.8", "--beta_1=0.7"),
            keras.optimizers.Muon,
            {
                "momentum": 0.8,
                "adam_beta_1": 0.7,
                "weight_decay": 5e-4,
                "adam_weight_decay": 5e-4,
            },
        ),
    ],
)
def test_optimizer_is_as_the_flags_say(arguments, kind, config):
    optimizer = made(*arguments)
    assert type(optimizer) is kind
    found = optimizer.get_config()
    assert {key: found[key] for key in config} == config


def moves_of(optimizer, network):
    """How far a step moves each weight, of the gradient 1 everywhere."""
    before = [np.asarray(v) for v in network.trainable_weights]
    optimizer.build(network.trainable_weights)
    optimizer.apply([keras.ops.ones_like(v) for v in before])
    after = [np.asarray(v) for v in network.trainable_weights]
    return [a - b for a, b in zip(after, before, strict=True)]


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "lion", "muon"])
def test_backbone_moves_by_its_share_of_the_rate(name):
    arguments = [f"--optimizer={name}"]
    if name != "adam":
        arguments.append(f"--weight_decay={DECAY}")
    plain, scaled = small_networks(1), small_networks(1)
    whole = moves_of(made(*arguments), plain[0])
    optimizer = made(*arguments, "--backbone_rate=0.25", networks=scaled)
    parts = moves_of(optimizer, scaled[0])

    for move, part in zip(whole[:-2], parts[:-2], strict=True):
        np.testing.assert_allclose(part, 0.25 * move, rtol=1e-4, atol=1e-7)
    for move, part in zip(whole[-2:], parts[-2:], strict=True):
        np.testing.assert_allclose(part, move, rtol=1e-4, atol=1e-7)
    assert np.abs(whole[0]).max() > 1e-3
    again = type(optimizer).from_config(optimizer.get_config())
    assert again.get_config() == optimizer.get_config()


def test_backbone_rate_needs_a_classifier_to_be_seen():
    networks = [keras.Sequential([keras.Input((4,)), keras.layers.ReLU()])]
    with pytest.raises(RunError, match="must be a functional or sequential"):
        made("--backbone_rate=0.1", networks=networks)


def test_rate_rises_to_its_course_and_goes_on_after_some_epochs():
    settings = settings_of(
        "--schedule=step", "--epochs=10", "--warmup_epochs=2"
    )
    course = optimizers.course(settings, 1.0, STEPS)
    rates = [float(course(step)) for step in (0, 10, 20, 29, 31)]
    np.testing.assert_allclose(rates, [0.1, 0.55, 1.0, 1.0, 0.1], rtol=1e-5)
    later = optimizers.course(settings, 1.0, STEPS, done=2)
    assert [float(later(step)) for step in (0, 9, 11)] == rates[2:]
    again = keras.optimizers.schedules.deserialize(
        keras.optimizers.schedules.serialize(later)
    )
    assert float(again(11)) == rates[-1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--optimizer=adamw", "--learning_rate=0.1"),
            "moves each weight by about as much.*0.05 or less",
        ),
        (("--warmup_epochs=20", "--epochs=20"), "is not below --epochs"),
        (("--early_stopping=3", "--swa_start=0.5"), "averages its last"),
        (("--optimizer=adam", "--weight_decay=0.1"), "is adamw"),
        (("--optimizer=lion", "--momentum=0.5"), "decay by --beta_1"),
        (("--beta_1=0.5",), "SGD has --momentum"),
    ],
)
def test_flags_that_cannot_be_meant_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        settings_of(*arguments)
