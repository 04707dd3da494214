"""A study whose arm is one network first, and ships the mean of several."""

import keras
import numpy as np
import pytest
from compare_fixture import make_study

from keras_graft.compare import records
from keras_graft.compare import runner
from keras_graft.compare import study as studies
from keras_graft.runs.batches import load_splits
from keras_graft.runs.signals import StopSignals


@pytest.mark.slow
def test_fork_ships_the_mean_and_pays_for_its_trunk(tmp_path):
    study = make_study(
        tmp_path,
        "--epochs=2",
        "--validation_fraction=0.2",
        names=("fork_late",),
    )
    file = tmp_path / "records.json"
    with StopSignals() as signals:
        assert runner.start(study, file, signals) == 0
    (record,) = records.read(file)
    trunk, fork = studies.arm_runs(study)
    # Two epochs of one network, one of two: as much as two for two.
    assert record.flops_train == 4 * 3 * 3 * 32 * record.flops_inference
    assert record.flags[-1] == "--initial_network=trunk/seed0/shipped.keras"
    assert (record.shipped, record.best_epoch) == ("mean", None)
    shipped = keras.models.load_model(
        fork.folder / "shipped.keras", compile=False
    )
    splits = load_splits(runner.settings_of(study, fork, (0.1, 5e-4)))
    answers = shipped.predict(splits.validation.images, verbose=0).argmax(-1)
    found = np.mean(answers == splits.validation.labels)
    assert record.validation_accuracy == pytest.approx(found)
    # The branches began with the trunk's weights, not with others.
    one, other = (
        keras.models.load_model(
            run.folder / "network_0.keras", compile=False
        ).get_weights()
        for run in (trunk, fork)
    )
    kernels = [k for k, w in enumerate(one) if w.ndim == 4]
    change = max(np.abs(one[k] - other[k]).mean() for k in kernels)
    assert 0 < change < min(np.abs(one[k]).mean() for k in kernels)
