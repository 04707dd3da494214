"""Flags that say how a step is computed, down to the trainer."""

import pytest
from absl import flags as absl_flags

from keras_graft import data
from keras_graft import flags
from keras_graft.runs import recipe


@pytest.mark.parametrize(
    ("arguments", "accelerate", "jit_compile"),
    [
        ([], True, "auto"),
        (["--norecompute", "--jit"], "no_recompute", True),
        (["--recompute", "--nojit"], True, False),
    ],
)
def test_switches_reach_the_trainer(
    arguments, accelerate, jit_compile, monkeypatch
):
    asked = []
    compiled = recipe.GraftTrainer.compile

    def compile(trainer, **how):
        asked.append(how["jit_compile"])
        compiled(trainer, **how)

    monkeypatch.setattr(recipe.GraftTrainer, "compile", compile)
    flag_values = absl_flags.FlagValues()
    flags.define(flag_values)
    settings = flags.parse(
        ["launch", "--dataset=digits", "--model=resnet8", *arguments],
        flag_values,
    )
    splits = data.load(
        "digits",
        data_dir=None,
        train_examples=64,
        validation_fraction=0.0,
        seed=0,
    )
    trainer = recipe.make_trainer(settings, splits)
    assert trainer.accelerate == accelerate
    assert asked == [jit_compile]
