"""What a type checker tells the author of a script."""

import os
import pathlib
import re
import subprocess
import sys

import keras_graft

ROOT = pathlib.Path(__file__).resolve().parents[1]

SCRIPT = """
import keras  # type: ignore[import-untyped]

import keras_graft

networks = [keras.Sequential() for _ in range(2)]
trainer = keras_graft.GraftTrainer(networks, distillation=None)
trainer.compile("sgd", "mse")
callback = keras_graft.GraftCallback(amplitude=0.4)
trainer.fit(None, callbacks=[callback, keras_graft.RunCheckpoint("run")])
reveal_type(trainer)
reveal_type(callback)
reveal_type(trainer.status[0])
trainer.best_network.save("shipped.keras")
"""
# An attribute that is misspelt is not among them: a trainer is a Keras model,
# which has no types, and so may have any.
MISTAKES = """
keras_graft.GraftTrainer(networks, distilation=None)
keras_graft.GraftCallback(slop=1.0)
keras_graft.MutualDistillation(weigth=1.0)
keras_graft.GraftTraner(networks)
keras_graft.data.EpochOrdered((1, 2), batch_siz=3)
keras_graft.data.EpochOrderd
keras_graft.distillation.PeerFeatureDistillation(lss=None)
keras_graft.diagnosis.diagnos
keras_graft.recognition.CircleLos
keras_graft.optimizers.CoupledSDG
trainer.evaluate(None, verbos=1)
trainer.predict(None, batch_siz=1)
"""


def check(tmp_path, text):
    path = tmp_path / "script.py"
    path.write_text(text)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            "--strict",
            # As where the package is installed: its own files are not judged.
            "--follow-imports=silent",
            f"--cache-dir={tmp_path / 'cache'}",
            path,
        ],
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    return done.stdout


def test_a_strict_script_knows_the_public_classes(tmp_path):
    modules = (
        keras_graft,
        keras_graft.data,
        keras_graft.diagnosis,
        keras_graft.recognition,
    )
    names = [f"{m.__name__}.{name}" for m in modules for name in m.__all__]
    found = check(tmp_path, SCRIPT + "\n".join(names))
    assert "error" not in found
    assert 'type is "keras_graft.trainer.graft_trainer.GraftTrainer"' in found
    assert 'type is "keras_graft.grafting.callback.GraftCallback"' in found
    assert 'type is "str"' in found


def test_misspelt_arguments_are_caught(tmp_path):
    found = check(tmp_path, SCRIPT + MISTAKES)
    for right in ("distillation", "slope", "weight"):
        assert f'did you mean "{right}"?' in found
    # One for each line: nothing is let through as `Any`.
    first = len(SCRIPT.splitlines()) + 2
    wrong = {int(n) for n in re.findall(r"script.py:(\d+): error", found)}
    assert wrong == set(range(first, first + MISTAKES.count("\n") - 1)), found
