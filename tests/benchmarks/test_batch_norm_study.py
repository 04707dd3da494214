"""The study of BatchNormalization after a graft."""

import types

import batch_norm_after_graft
import numpy as np


def test_batch_norm_study_reads_the_epoch_before_each_graft():
    # Grafts open the second and the fourth of four epochs.
    first = {
        "kind": "graft",
        "seed": 7,
        "momenta": [0.9],
        "steps_per_epoch": 70,
        "grafts_at": [1, 3],
        "end_of_epoch": [[0.1, 0.3], [0.9, 0.9], [0.4, 0.6], [0.5, 0.7]],
        "after_graft": [[0.1, 0.1], [0.2, 0.2]],
        "trained_weights": "a",
    }
    second = {
        **first,
        "kind": "reestimate",
        "after_graft": [[0.3, 0.3], [0.3, 0.3]],
    }
    lines = batch_norm_after_graft.markdown([first, second]).splitlines()
    assert lines[2:5] == [
        "| graft | 0.3500 | 0.1500 | 0.6000 |",
        "| reestimate | 0.3500 | 0.3000 | 0.6000 |",
        "| gain, seed 7 | +0.0000 | +0.1500 | +0.0000 |",
    ]
    assert "in both runs of 1 of 1 seeds" in lines[-1]


def test_batch_norm_study_tests_on_all_classes_of_a_sorted_split():
    labels = np.repeat(np.arange(10), 10)
    split = types.SimpleNamespace(images=labels[:, None], labels=labels)
    images, found = batch_norm_after_graft.spread(split, 40)
    np.testing.assert_array_equal(np.bincount(found), [4] * 10)
    np.testing.assert_array_equal(images[:, 0], found)
    assert len(batch_norm_after_graft.spread(split, 1000)[1]) == 100
