"""The history and the coefficients of a run, and what is made of them."""

import math
import types

import numpy as np
import pytest
from builders import make_trainer
from builders import small_networks
from finished import finished

from keras_graft.data.splits import SourceFile
from keras_graft.runs import image_table
from keras_graft.runs import results
from keras_graft.runs import run_report
from keras_graft.runs.exit_codes import RunError
from keras_graft.runs.run_logs import CoefficientLogger

ONE = {
    "num_networks": 1,
    "selected": "network_0",
    "networks": [results.NetworkResult("network_0", "live", 0.9, 3, 64)],
}

HISTORY = {
    **{f"val_network_{k}_accuracy": [0.5] for k in range(2)},
    **{f"network_{k}_invalid_filters": [0] for k in range(2)},
    "val_ensemble_accuracy": [0.5],
}


@pytest.mark.parametrize(
    "accuracies, filters, divergences, shares",
    [
        ([1e308], [1e308, -1e308], [5e-324, 1e-310], [math.nan, math.inf]),
        ([1e300, 0.5], [math.nan, math.inf], [-math.inf], [1e308, -1e308]),
    ],
)
def test_report_of_any_number(accuracies, filters, divergences, shares):
    history = {
        "val_network_0_accuracy": accuracies,
        "network_0_invalid_filters": filters,
        "divergence": divergences,
    }
    coefficients = {"$\\frac$/kernel": {0: shares, 2: shares[:1]}}
    page = run_report.report_html(finished(**ONE), history, coefficients, "")
    assert page.count("data:image/png") == 4


def results_of(accuracies, num_networks=1, validation=None, **measured):
    settings = types.SimpleNamespace(
        num_networks=num_networks, dataset="digits", model="resnet8"
    )
    settings.epochs, settings.seed = len(accuracies), 0
    settings.weights = None
    images = np.zeros((1, 8, 8, 1), "uint8")
    splits = types.SimpleNamespace(
        train=types.SimpleNamespace(images=images),
        validation=validation,
        num_classes=10,
        class_names=None,
    )
    networks = range(num_networks)
    test_logs = {f"network_{k}_accuracy": 0.5 for k in networks}
    measured = results.Measured(
        history={f"val_network_{k}_accuracy": accuracies for k in networks},
        selected=0,
        statuses=["live"] * num_networks,
        test_logs=test_logs | {"ensemble_accuracy": 0.5},
        invalid_filters=[0] * num_networks,
        total_filters=[64] * num_networks,
        seconds=1.0,
        **measured,
    )
    return results.run_results(settings, splits, measured)


def test_no_accuracy_is_the_best_that_is_no_number():
    nan, inf = math.nan, math.inf
    assert results.best_epoch([nan, 0.2, inf, 0.7, 0.7]) == 3
    assert results.best_epoch([nan, inf]) is None
    found = results_of([nan, inf])
    assert found.best_epoch is found.best_epoch_test_accuracy is None
    assert "No accuracy of network_0 is a number" in found.protocol
    assert "epoch None" not in results.summary(found, [0], "shipped.keras")


def test_protocol_says_what_was_chosen_and_nothing_else():
    chosen = "the shipped network and best_epoch were chosen"
    best = results_of([0.5], 2)
    assert f"{chosen} on the test set, as in the paper. Such" in best.protocol
    best = results_of([0.5], 2, validation=object())
    assert f"{chosen} on it; test set used once" in best.protocol
    for validation in (None, object()):
        alone = results_of([0.5], validation=validation)
        assert ": best_epoch was chosen on" in alone.protocol
        mean = results_of([0.5], 2, validation, mean_logs={"accuracy": 0.75})
        assert "best_epoch and the network that it is of" in mean.protocol
        assert "weights; none of them was chosen" in mean.protocol
        for found in (alone, mean):
            assert "shipped network" not in found.protocol
            assert "Such an accuracy" not in found.protocol
    page = run_report.report_html(mean, HISTORY, {}, "")
    assert "<p>The mean of the networks' weights is shipped:" in page


@pytest.fixture(scope="module")
def logger(tmp_path_factory):
    path = tmp_path_factory.mktemp("logs") / "coefficients.csv"
    logger = CoefficientLogger(None, path)
    logger.set_model(make_trainer(small_networks(2)))
    logger.set_params({"epochs": 2})
    return logger


@pytest.mark.parametrize(
    "row",
    [
        ["a"],
        [],
        [0, "conv", "0.500000"],
        [2, "conv", "0.500000", "0.500000"],
        [-1, "conv", "0.500000", "0.500000"],
        [10**30, "conv", "0.500000", "0.500000"],
        ["0", "conv", "0.500000", "0.500000"],
        [0, 3, "0.500000", "0.500000"],
        [0, "conv", "0.500000", "half"],
        [0, "conv", "0.500000", "0.500000\n"],
        [0, "conv", "0.500000", 1],
    ],
)
def test_row_that_is_no_graft_is_refused(logger, row):
    good = [0, "conv", "0.512345", "nan"]
    logger.set_state({"rows": [good]})
    with pytest.raises(ValueError, match=r"rows\[1\]"):
        logger.set_state({"rows": [good, row]})
    assert logger.get_state() == {"rows": [good]}


@pytest.mark.parametrize("more", ["", "x", "a,b,c\n", "a,b,c,d,e\n", '"'])
def test_images_are_compared_with_a_whole_table_only(tmp_path, more):
    path = tmp_path / "images.csv"
    files = [SourceFile("train", "a", "a/1.png", "0")]
    image_table.write(path, files)
    image_table.refuse_other_images(path, files)
    text = path.read_text()
    path.write_text(text + more if more else text.replace("digest", "hash"))
    with pytest.raises(RunError, match=r"images\.csv cannot be read .*Restore"):
        image_table.refuse_other_images(path, files)
