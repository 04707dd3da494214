"""What the benchmark of gentle grafts asks for, and how it is told."""

import gentle
import pytest
from measuring.keras_side import launch_settings
from measuring.workload import Workload

from keras_graft.runs.callbacks import make_graft_callback


def test_every_side_moves_within_the_epoch_that_is_measured(tmp_path):
    made = {}
    for side, flags in gentle.sides_of(5).items():
        workload = Workload(2, "resnet8", 64, flags=flags)
        settings = launch_settings(workload, str(tmp_path))
        graft = made[side] = make_graft_callback(settings)
        if side != "none":
            assert graft.is_due(0)
            assert graft.get_config()["every_steps"] == 5
    assert made["none"] is None
    assert made["peer"].get_config()["target"] == "peer"
    assert made["mean"].get_config()["target"] == "mean"
    assert made["exchange"].get_config()["source"] == "exchange"


def test_steps_are_held_against_those_without_a_graft():
    def answers(*seconds):
        return [{"seconds": s, "cpu_seconds": 2 * s} for s in seconds]

    none, mean = gentle.summary(
        {"none": answers(1.0, 2.0, 4.0), "mean": answers(1.01, 2.02, 4.4)}
    )
    assert none["seconds_over_none"]["median"] == 1
    assert mean["cpu_seconds_over_none"]["median"] == pytest.approx(1.01)
    assert "1.0100" in gentle.lines([none, mean])[-1]
