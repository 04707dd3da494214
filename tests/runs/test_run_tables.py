"""The history and the coefficients of a run, and what is made of them."""

import math
import types

import numpy as np
import pytest
from builders import make_trainer
from builders import small_networks
from finished import finished

from keras_graft.runs import results
from keras_graft.runs import run_report
from keras_graft.runs.run_logs import CoefficientLogger

ONE = {
    "num_networks": 1,
    "selected": "network_0",
    "networks": [results.NetworkResult("network_0", "live", 0.9, 3, 64)],
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


def test_no_accuracy_is_the_best_that_is_no_number():
    nan, inf = math.nan, math.inf
    assert results.best_epoch([nan, 0.2, inf, 0.7, 0.7]) == 3
    assert results.best_epoch([nan, inf]) is None
    settings = types.SimpleNamespace(
        num_networks=1, dataset="digits", model="digits_cnn", epochs=2, seed=0
    )
    images = np.zeros((1, 8, 8, 1), "uint8")
    splits = types.SimpleNamespace(
        train=types.SimpleNamespace(images=images),
        validation=None,
        num_classes=10,
        class_names=None,
    )
    measured = results.Measured(
        history={"val_network_0_accuracy": [nan, inf]},
        selected=0,
        statuses=["live"],
        test_logs={"network_0_accuracy": 0.5},
        invalid_filters=[0],
        total_filters=[64],
        seconds=1.0,
    )
    found = results.run_results(settings, splits, measured)
    assert found.best_epoch is found.best_epoch_test_accuracy is None
    assert "No accuracy of network_0 is a number" in found.protocol
    assert "epoch None" not in results.summary(found, [0], "shipped.keras")


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
        [0, "conv", "0.5"],
        [2, "conv", "0.5", "0.5"],
        [-1, "conv", "0.5", "0.5"],
        [10**30, "conv", "0.5", "0.5"],
        ["0", "conv", "0.5", "0.5"],
        [0, 3, "0.5", "0.5"],
        [0, "conv", "0.5", "half"],
        [0, "conv", "0.5", 1],
    ],
)
def test_row_that_is_no_graft_is_refused(logger, row):
    good = [0, "conv", "0.512345", "nan"]
    logger.set_state({"rows": [good]})
    with pytest.raises(ValueError, match=r"rows\[1\]"):
        logger.set_state({"rows": [good, row]})
    assert logger.get_state() == {"rows": [good]}
