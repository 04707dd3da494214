"""Networks side by side at the positions that one of them calls invalid."""

import json

import keras
import numpy as np
import pytest

from keras_graft import models
from keras_graft.diagnosis import compare
from keras_graft.diagnosis import diagnose


def network_of_norms(*kernels_norms):
    """One 1x1 convolution per list; its filters have these l1 norms."""
    model = keras.Sequential([keras.Input((4, 4, 1))], name="small")
    for i, norms in enumerate(kernels_norms):
        model.add(
            keras.layers.Conv2D(len(norms), 1, use_bias=False, name=f"c{i}")
        )
    for layer, norms in zip(model.layers, kernels_norms, strict=True):
        channels = layer.kernel.shape[2]
        kernel = np.ones((1, 1, channels, 1)) * norms / channels
        layer.kernel.assign(kernel)
    return model


def sets_by_key(comparison):
    return {(row.threshold, row.valid): row for row in comparison.sets}


def test_reference_decides_which_positions_are_valid():
    baseline = network_of_norms([0.01, 5.0, 7.0], [0.5, 8.0])
    grafted = network_of_norms([2.0, 4.0, 6.0], [1.0, 0.02])
    found = sets_by_key(compare([baseline, grafted], thresholds=[1, 0.1]))
    assert found[0.1, True].filters == 4
    assert found[0.1, False].filters == 1
    assert found[0.1, True].l1_means == pytest.approx(
        [(5 + 7 + 0.5 + 8) / 4, (4 + 6 + 1 + 0.02) / 4]
    )
    assert found[0.1, False].l1_means == pytest.approx([0.01, 2.0])
    assert found[1.0, True].l1_means == pytest.approx([20 / 3, 10.02 / 3])
    assert found[1.0, False].l1_means == pytest.approx([0.51 / 2, 3.0 / 2])


def test_random_mean_draws_as_many_filters_from_each_kernel():
    baseline = network_of_norms([0.01, 0.02, 7.0], [0.5, 8.0])
    grafted = network_of_norms([2.0, 4.0, 6.0], [10.0, 20.0])
    found = sets_by_key(compare([baseline, grafted], thresholds=[1]))
    invalid = found[1.0, False]
    # Two of the first kernel (mean 4), one of the second (mean 15).
    assert invalid.random_l1_means[1] == pytest.approx((2 * 4 + 15) / 3)


def test_another_model_can_be_the_reference():
    first = network_of_norms([0.01, 5.0])
    second = network_of_norms([5.0, 0.01])
    rows = compare([first, second], thresholds=[0.1], reference=1).sets
    assert rows[1].l1_means == pytest.approx((5.0, 0.01))


def test_empty_set_has_no_mean(tmp_path):
    comparison = compare([network_of_norms([3.0, 5.0])] * 2, thresholds=[0.1])
    assert comparison.sets[1].filters == 0
    assert comparison.sets[1].l1_means == (None, None)
    assert " -" in str(comparison)
    comparison.plot(tmp_path / "a.png")


def test_totals_stand_side_by_side_in_table_and_json(tmp_path):
    pair = [models.build("resnet8", num_classes=3, seed=i) for i in range(2)]
    stem = pair[1].get_layer("stem_conv")
    stem.kernel.assign(np.zeros(stem.kernel.shape))
    comparison = compare(pair, names=["plain", "stemless"])
    assert comparison.diagnoses[1] == diagnose(pair[1])
    lines = str(comparison).splitlines()
    filters = 16 * 3 + 32 * 2 + 64 * 2
    assert lines[1].split()[:4] == ["plain", f"{filters}", "0", "(0.0%)"]
    assert lines[2].split()[:4] == ["stemless", f"{filters}", "16", "(6.7%)"]
    assert "one output slice" in str(comparison)
    comparison.to_json(tmp_path / "a.json")
    values = json.loads((tmp_path / "a.json").read_text())
    assert values["names"] == ["plain", "stemless"]
    assert values["totals"][1]["invalid"]["0.001"] == 16
    assert values["positions"][0]["l1_means"][1] == pytest.approx(
        comparison.sets[0].l1_means[1]
    )
    assert len(values["models"][0]["layers"]) == 7
    comparison.plot(tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 5000


def test_networks_of_another_architecture_are_refused_layer_by_layer():
    with pytest.raises(ValueError, match=r"(?s)one architecture.*'c0'.*\b3\b"):
        compare(
            [network_of_norms([1.0, 2.0]), network_of_norms([1.0, 2.0, 3.0])]
        )


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"reference": 2}, "position of one of the 2 models. Received: 2"),
        ({"reference": -1}, "Received: -1"),
        ({"names": ["a"]}, "must name each of the 2 models"),
        ({"thresholds": []}, "at least one"),
    ],
)
def test_argument_out_of_range_is_refused(arguments, complaint):
    with pytest.raises(ValueError, match=complaint):
        compare([network_of_norms([1.0])] * 2, **arguments)
