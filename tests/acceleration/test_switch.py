"""`GraftTrainer(accelerate=...)`, and the versions that it was tested with."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from builders import compiled
from builders import small_networks

import keras_graft
from keras_graft.acceleration.switch import resolve_acceleration


def operations(trainer, images):
    """Names of the operations of a trainer's step."""
    compiled(trainer, optimizer="sgd", metrics=None)
    trainer.fit(*images, verbose=0)
    batch = tuple(map(tf.convert_to_tensor, images))
    graph = tf.function(trainer.train_step).get_concrete_function(batch)
    definition = graph.graph.as_graph_def()
    nodes = [
        *definition.node,
        *(n for f in definition.library.function for n in f.node_def),
    ]
    return {node.op for node in nodes}


@pytest.mark.slow
def test_a_trainer_is_accelerated_unless_told(images):
    fused = {
        accelerate: "FusedBatchNormV3"
        in operations(
            keras_graft.GraftTrainer(small_networks(2), accelerate=accelerate),
            images,
        )
        for accelerate in (True, False, "no_recompute")
    }
    assert fused == {True: True, False: False, "no_recompute": True}


@pytest.mark.parametrize(
    "module, version",
    [
        (keras, "3.16.0"),
        pytest.param(keras, "4.0.0", marks=pytest.mark.slow),
        pytest.param(tf, "2.22.1", marks=pytest.mark.slow),
    ],
)
def test_another_version_trains_without_and_says_so_once(
    images, monkeypatch, caplog, module, version
):
    monkeypatch.setattr(module, "__version__", version)
    found = [
        operations(keras_graft.GraftTrainer(small_networks(2)), images)
        for _ in range(2)
    ]
    assert not any("FusedBatchNormV3" in names for names in found)
    name = module.__name__.split(".")[0]
    said = [r for r in caplog.messages if "not accelerated" in r]
    assert len(said) == 1
    assert f"not tested with {name} {version}" in said[0]


def test_patch_releases_are_tested_enough(monkeypatch, caplog):
    monkeypatch.setattr(keras, "__version__", "3.15.99")
    assert resolve_acceleration(True).on
    assert not caplog.text


def test_what_it_replaces_goes_on_working_with_a_notice():
    made = {}
    for given in ("fused_batch_norm", "recompute"):
        with pytest.warns(DeprecationWarning, match=f"'{given}'.*accelerate="):
            made[given] = keras_graft.GraftTrainer(
                small_networks(2), **{given: False}
            ).accelerate
    assert made == {"fused_batch_norm": False, "recompute": "no_recompute"}


@pytest.mark.parametrize(
    "given",
    [
        {"accelerate": False, "recompute": True},
        {"accelerate": False, "fused_batch_norm": True},
        {"accelerate": "no_recompute", "fused_batch_norm": False},
        {"accelerate": "no_recompute", "recompute": True},
    ],
)
def test_contradiction_is_refused_by_both_names(given):
    with pytest.raises(ValueError, match="contradict each other") as error:
        keras_graft.GraftTrainer(small_networks(1), **given)
    for name, value in given.items():
        assert f"`{name}={value!r}`" in str(error.value)


def test_what_it_replaces_may_say_the_same():
    for accelerate, given in (
        (False, {"fused_batch_norm": False}),
        (False, {"recompute": False}),
        ("no_recompute", {"fused_batch_norm": True, "recompute": False}),
    ):
        with pytest.warns(DeprecationWarning):
            made = keras_graft.GraftTrainer(
                small_networks(1), accelerate=accelerate, **given
            )
        assert made.accelerate == accelerate


@pytest.mark.parametrize("name", ["fused_batch_norm", "recompute"])
@pytest.mark.parametrize("value", ["x", 1, 0.0, []])
def test_what_it_replaces_is_a_boolean(name, value):
    with pytest.raises(ValueError, match=f"`{name}` must be True or False"):
        keras_graft.GraftTrainer(small_networks(1), **{name: value})


def test_trainers_that_were_saved_before_load():
    trainer = keras_graft.GraftTrainer(small_networks(2))
    config = trainer.get_config()
    del config["accelerate"]
    config.update(fused_batch_norm=True, recompute=False)
    loaded = keras_graft.GraftTrainer.from_config(config)
    assert loaded.accelerate == "no_recompute"
    assert len(loaded.networks) == 2


@pytest.mark.parametrize("accelerate", ["fast", 1.5, None])
def test_anything_else_is_refused(accelerate):
    with pytest.raises(ValueError, match="True, False or 'no_recompute'"):
        keras_graft.GraftTrainer(small_networks(2), accelerate=accelerate)


def test_numbers_are_the_same_up_to_rounding(images):
    trained = []
    for accelerate in (True, False):
        trainer = keras_graft.GraftTrainer(
            small_networks(2), accelerate=accelerate
        )
        compiled(trainer, optimizer=keras.optimizers.SGD(0.1), metrics=None)
        trainer.fit(*images, epochs=2, shuffle=False, verbose=0)
        trained.append([w for n in trainer.networks for w in n.get_weights()])
    for fast, plain in zip(*trained, strict=True):
        np.testing.assert_allclose(fast, plain, rtol=1e-4, atol=1e-5)
