"""Averages of networks' weights."""

import types

import compare_fixture
import keras
import numpy as np
import pytest

from keras_graft.compare import records
from keras_graft.compare import runner
from keras_graft.compare.weight_averaging import HeldSchedule
from keras_graft.compare.weight_averaging import WeightAverage
from keras_graft.runs.signals import StopSignals


def test_rate_follows_the_schedule_and_then_stays():
    cosine = keras.optimizers.schedules.CosineDecay(0.1, 100)
    held = HeldSchedule(cosine, 75)
    assert float(held(30)) == pytest.approx(float(cosine(30)))
    assert float(held(75)) == pytest.approx(
        0.1 * (1 + np.cos(0.75 * np.pi)) / 2
    )
    assert float(held(99)) == float(held(75))
    assert HeldSchedule(0.3, 75)(99) == 0.3


def test_average_is_the_mean_of_the_last_epochs(small_network):
    network = small_network()
    average = WeightAverage(start=1)
    average.set_model(types.SimpleNamespace(networks=[network]))
    start = network.get_weights()
    for epoch, offset in enumerate((100.0, 1.0, 4.0)):
        network.set_weights([w + np.float32(offset) for w in start])
        average.on_epoch_end(epoch)
    average.apply()
    for before, after in zip(start, network.get_weights(), strict=True):
        np.testing.assert_allclose(after, before + 2.5, rtol=1e-6)


def test_networks_have_one_average_together_or_one_each(small_network):
    networks = [small_network(), small_network()]
    start = networks[0].get_weights()
    for together, expected in ((False, (1.0, 4.0)), (True, (2.5, 2.5))):
        for network, offset in zip(networks, (1.0, 4.0), strict=True):
            network.set_weights([w + np.float32(offset) for w in start])
        average = WeightAverage(start=0, together=together)
        average.set_model(types.SimpleNamespace(networks=networks))
        average.on_epoch_end(0)
        average.apply()
        for network, offset in zip(networks, expected, strict=True):
            for before, after in zip(start, network.get_weights(), strict=True):
                np.testing.assert_allclose(after, before + offset, rtol=1e-6)


def test_study_ships_averages_of_several_networks(tmp_path):
    names = ("mutual:average", "graft_slope_10:average")
    study = compare_fixture.make_study(
        tmp_path, "--validation_fraction=0.2", "--epochs=2", names=names
    )
    file = tmp_path / "records.json"
    with StopSignals() as signals:
        assert runner.start(study, file, signals) == 0
    graft, mutual = sorted(records.read(file), key=lambda r: r.arm)
    assert (mutual.shipped, graft.shipped) == ("average", "average")
    assert mutual.flops_train == graft.flops_train
    # Grafted networks end as one, the others are told apart on validation.
    assert graft.divergence == pytest.approx(0.0, abs=1e-9)
    assert mutual.divergence > 0.0
    saved = [
        keras.models.load_model(
            tmp_path / f"runs/mutual_average/seed0/network_{k}.keras",
            compile=False,
        )
        for k in range(2)
    ]
    splits = runner._load(
        runner.settings_of(study, runner.arm_runs(study)[0], (0.1, 5e-4))
    )
    accuracies = [
        np.mean(
            np.argmax(n.predict(splits.validation.images, verbose=0), -1)
            == splits.validation.labels
        )
        for n in saved
    ]
    assert mutual.validation_accuracy == pytest.approx(max(accuracies))
