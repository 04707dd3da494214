"""What flags give each network: habits, and weights to begin with."""

import numpy as np
import pytest
from absl import flags as absl_flags
from launching import launch_here

from keras_graft import data
from keras_graft import flags
from keras_graft import models
from keras_graft.runs import recipe
from keras_graft.runs.exit_codes import RunError
from keras_graft.runs.results import read_history

SMALL = ("--train_examples=120", "--batch_size=32")


def made(*arguments):
    flag_values = absl_flags.FlagValues()
    flags.define(flag_values)
    settings = flags.parse(["launch", *SMALL, *arguments], flag_values)
    splits = data.load("digits", train_examples=120, seed=0)
    return recipe.make_trainer(settings, splits)


def test_all_networks_begin_with_a_saved_one(tmp_path):
    file = tmp_path / "first.keras"
    saved = models.build("resnet8", 10, (8, 8, 1), seed=9)
    saved.save(file)
    trainer = made(
        "--num_networks=2",
        f"--initial_network={file}",
        "--schedule_epochs=40",
        "--epochs=10",
        "--distinct=regularise",
    )
    for network in trainer.networks:
        for one, other in zip(
            network.get_weights(), saved.get_weights(), strict=True
        ):
            np.testing.assert_array_equal(one, other)
    decays = [
        o.get_config()["weight_decay"] for o in trainer.optimizer.optimizers
    ]
    assert decays == pytest.approx([5e-4, 2.5e-4])
    # 10 of 40 epochs of three steps each: a cosine that is not at its end.
    rate = trainer.optimizer.optimizers[1].get_config()["learning_rate"]
    assert rate["config"]["decay_steps"] == 40 * 3
    with pytest.raises(RunError, match="another architecture than --model"):
        made(
            "--model=resnet14", "--num_networks=1", f"--initial_network={file}"
        )


@pytest.mark.slow
def test_distinct_networks_train_and_teach(tmp_path):
    ended = launch_here(
        *SMALL,
        "--num_networks=2",
        "--epochs=1",
        "--distinct=regularise",
        f"--workdir={tmp_path / 'run'}",
    )
    assert ended == (0, "")
    history = read_history(tmp_path / "run" / "history.csv")
    assert 0 < history["distillation_loss"][0] < 10
    assert 0 <= history["val_ensemble_accuracy"][0] <= 1


def test_flags_that_mix_twice_or_end_early_are_refused():
    with pytest.raises(ValueError, match="--augment=cutmix for all"):
        made("--distinct=augment", "--augment=cutmix")
    with pytest.raises(ValueError, match="Take --augment=trivial, or"):
        made("--distinct=augment", "--augment=standard,trivial,erasing")
    with pytest.raises(ValueError, match="--schedule_epochs=5 ends before"):
        made("--epochs=6", "--schedule_epochs=5")
    with pytest.raises(absl_flags.Error, match="none.keras is not a file"):
        made("--initial_network=none.keras")
