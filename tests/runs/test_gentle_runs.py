"""Runs of the command that graft gently and ship the mean."""

import json

import keras
import numpy as np
import pytest
from launching import launch_here

from keras_graft import data
from keras_graft import flags
from keras_graft.runs.callbacks import make_graft_callback
from keras_graft.runs.results import read_history

SMALL = ("--train_examples=160", "--num_networks=2", "--batch_size=32")


@pytest.mark.slow
def test_a_run_ships_the_mean_of_its_networks(tmp_path, capsys):
    gentle = ("--graft_half_life=0.5", "--graft_every_steps=2")
    mean = ("--graft_target=mean", "--ship=mean", "--swa_start=0.5")
    folder = tmp_path / "run"
    ended = launch_here(
        *SMALL, *gentle, *mean, "--epochs=3", f"--workdir={folder}"
    )
    assert ended == (0, "")
    assert "the mean of 2 networks' weights" in capsys.readouterr().out
    results = json.loads((folder / "results.json").read_text())
    assert results["selected"] == "mean"
    assert "the mean of all live networks' weights" in results["protocol"]
    shipped, *networks = [
        keras.models.load_model(folder / f"{name}.keras")
        for name in ("shipped", "network_0", "network_1")
    ]
    # An average of its own for each network; what is shipped is theirs.
    one, other = (network.get_weights() for network in networks)
    assert not np.allclose(one[-2], other[-2])
    np.testing.assert_allclose(
        shipped.get_weights()[-2], (one[-2] + other[-2]) / 2, rtol=1e-5
    )
    test = data.load("digits").test
    found = shipped.evaluate(test.images, test.labels, verbose=0)[1]
    assert results["test_accuracy"] == pytest.approx(found, abs=1e-6)
    coefficients = read_history(folder / "history.csv")["graft_coefficient"]
    assert coefficients == [1.0, 0.5, 0.5]


def graft_of(*arguments):
    values = flags.FlagValues()
    flags.define(values)
    settings = flags.parse(["launch", *arguments], values)
    return make_graft_callback(settings).get_config()


def test_flags_make_the_graft_that_they_name():
    found = graft_of(
        "--graft_half_life=20",
        "--graft_late_half_life=1",
        "--epochs=400",
        "--graft_follow_rate",
        "--graft_start=0",
        "--graft_slope=5",
    )
    wanted = {
        "half_life": [(0, 20.0), (300, 1.0)],
        "target": "peer",
        "follow_rate": True,
        "start": 0,
        "slope": 5.0,
        "every_steps": 10,
    }
    assert wanted.items() <= found.items()
    found = graft_of(
        "--graft_source=exchange",
        "--graft_share=0.001",
        "--graft_every_steps=5",
        "--seed=3",
    )
    wanted = {"source": "exchange", "share": 0.001, "seed": 3, "every_steps": 5}
    assert wanted.items() <= found.items()
    assert graft_of()["half_life"] is None
    found = graft_of("--graft_source=internal", "--graft_threshold=2")
    assert {"source": "internal", "threshold": 2.0}.items() <= found.items()
