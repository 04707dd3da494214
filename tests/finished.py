"""The results of a run that nobody trained."""

from keras_graft.runs import results


def finished(**changes):
    """Results of two networks, of which the second one ships."""
    given = {
        "dataset": "digits",
        "model": "resnet8",
        "num_networks": 2,
        "epochs": 3,
        "trained_epochs": 3,
        "seed": 7,
        "seconds": 12.5,
        "selected": "network_1",
        "selected_by": "val_accuracy",
        "test_accuracy": 0.625,
        "best_epoch": 2,
        "best_epoch_test_accuracy": None,
        "networks": [
            results.NetworkResult(f"network_{k}", "live", 0.5 + k / 8, 0, 10)
            for k in range(2)
        ],
        "ensemble_test_accuracy": 0.75,
        "input": {"shape": [8, 9, 1], "dtype": "uint8"},
        "output": {"kind": "logits", "classes": 3},
        "weights": None,
        "class_names": None,
        "exports": [],
        "protocol": "Chosen on a validation split.",
    }
    return results.RunResults(**(given | changes))
