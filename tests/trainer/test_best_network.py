"""`best_network` is the best one, by the log that was asked for."""

import logging

import keras
import numpy as np
import pytest
from builders import crossentropy
from builders import one_dense
from builders import slow_but

import keras_graft


def data(examples=64, classes=3):
    rng = np.random.default_rng(0)
    y = rng.integers(0, classes, examples)
    return rng.normal(size=(examples, 4)).astype("float32"), y


def fitted(networks, metrics, loss, x, y, epochs=1, **given):
    """Compared without being changed: the rate is 0."""
    more = {name: given.pop(name) for name in ("mode",) if name in given}
    monitor = given.pop("monitor", "val_accuracy")
    trainer = keras_graft.GraftTrainer(
        networks, distillation=None, monitor=monitor, **more
    )
    trainer.compile(keras.optimizers.SGD(0.0), loss, metrics=metrics)
    given.setdefault("validation_data", (x, y))
    logs = trainer.fit(x, y, epochs=epochs, verbose=0, **given).history
    return trainer, logs


# The names mislead where they can.
METRICS = {
    "mae": ("mae", np.argmin),
    "error_free": (keras.metrics.BinaryAccuracy("error_free"), np.argmax),
    "accuracy_of_age": (
        keras.metrics.MeanAbsoluteError("accuracy_of_age"),
        np.argmin,
    ),
    "auc": (keras.metrics.AUC(name="auc"), np.argmax),
    "no_loss": (keras.metrics.Precision(name="no_loss"), np.argmax),
    "false_positives": (keras.metrics.FalsePositives(), np.argmin),
    "true_positives": (keras.metrics.TruePositives(), np.argmax),
    "kl_divergence": (keras.metrics.KLDivergence(), np.argmin),
    "r2_score": (keras.metrics.R2Score(name="r2_score"), np.argmax),
    "mean_squared_error": (keras.losses.mean_squared_error, np.argmin),
    "loss": (None, np.argmin),
}


# What tells in another way than those before it.
TELLING = ("mae", "error_free", "accuracy_of_age", "loss")


@pytest.mark.parametrize("name", slow_but(TELLING, METRICS))
def test_the_metric_says_which_way_is_better(name):
    x, y = data(classes=2)
    y = y.astype("float32")[:, None]
    metric, best = METRICS[name]
    networks = [one_dense(k, 1, "sigmoid") for k in range(4)]
    trainer, logs = fitted(
        networks,
        [] if metric is None else [metric],
        "binary_crossentropy",
        x,
        y,
        monitor=f"val_{name}",
    )
    scores = [logs[f"val_network_{k}_{name}"][-1] for k in range(4)]
    assert len(set(scores)) > 1
    assert trainer.networks.index(trainer.best_network) == best(scores)


class Unknown(keras.metrics.Mean):
    """Mean of the first unit; nobody knows what is better."""

    def __init__(self, name="val_error", **kwargs):
        super().__init__(name=name, **kwargs)

    def update_state(self, y_true, y_pred, sample_weight=None):
        return super().update_state(y_pred[:, 0])


@pytest.mark.parametrize("name", ["my_error", "my_accuracy"])
def test_an_own_metric_is_asked_for_its_way_before_training(name):
    x, y = data()
    networks = [one_dense(0), one_dense(1)]
    with pytest.raises(ValueError, match="mode='min'.* or mode='max'"):
        fitted(networks, [Unknown(name)], crossentropy(), x, y, monitor=name)
    for mode, best in (("min", np.argmin), ("max", np.argmax)):
        trainer, logs = fitted(
            networks,
            [Unknown(name)],
            crossentropy(),
            x,
            y,
            monitor=name,
            mode=mode,
        )
        scores = [logs[f"network_{k}_{name}"][-1] for k in range(2)]
        assert trainer.networks.index(trainer.best_network) == best(scores)


@pytest.mark.parametrize(
    "monitor",
    [
        "val_acuracy",
        "val_mae",
        "accuracy_val",
        "val_ensemble_accuracy",
        "distillation_loss",
        "val_network_0_accuracy",
        "network_0_skipped_steps",
        "f1_score",
    ],
)
def test_an_unknown_monitor_is_refused_before_training(monitor):
    x, y = data()
    y = keras.utils.to_categorical(y)
    trainer = keras_graft.GraftTrainer(
        [one_dense(0, 3, "softmax")], distillation=None, monitor=monitor
    )
    trainer.compile(
        "sgd",
        "categorical_crossentropy",
        metrics=["accuracy", keras.metrics.F1Score()],
    )
    with pytest.raises(ValueError, match="'val_accuracy'"):
        trainer.fit(x, y, validation_data=(x, y), verbose=0)
    assert int(trainer.optimizer.optimizers[0].iterations) == 0


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"monitor": 5}, "`monitor` must be the name"),
        ({"monitor": ""}, "`monitor` must be the name"),
        ({"mode": "larger"}, "`mode`.*'auto', 'min'"),
    ],
)
def test_what_is_no_monitor_is_refused_when_it_is_made(given, match):
    with pytest.raises(ValueError, match=match):
        keras_graft.GraftTrainer([one_dense(0)], distillation=None, **given)


def test_without_an_accuracy_the_least_loss_decides_and_that_is_said(caplog):
    x, y = data()
    with caplog.at_level(logging.WARNING):
        trainer, logs = fitted(
            [one_dense(k) for k in range(3)], [], crossentropy(), x, y
        )
        losses = [logs[f"val_network_{k}_loss"][0] for k in range(3)]
        best = trainer.networks[int(np.argmin(losses))]
        assert [trainer.best_network, trainer.best_network] == [best, best]
    assert caplog.text.count("no metric `accuracy` is compiled") == 1
    assert "no validation data" not in caplog.text


def test_without_validation_the_training_log_decides_and_that_is_said(caplog):
    x, y = data()
    with caplog.at_level(logging.WARNING):
        trainer, logs = fitted(
            [one_dense(k) for k in range(3)],
            ["accuracy"],
            crossentropy(),
            x,
            y,
            validation_data=None,
        )
        scores = [logs[f"network_{k}_accuracy"][0] for k in range(3)]
        best = trainer.networks[int(np.argmax(scores))]
        assert [trainer.best_network, trainer.best_network] == [best, best]
    assert caplog.text.count("there is no validation data") == 1


def test_epochs_that_are_not_validated_do_not_count():
    x, _ = data()
    networks = [one_dense(k) for k in range(3)]
    # What the first and what the last one are always right about.
    y, other = (
        np.argmax(networks[k].predict(x, verbose=0), -1) for k in (0, 2)
    )
    trainer, logs = fitted(
        networks,
        ["accuracy"],
        crossentropy(),
        x,
        y,
        epochs=3,
        validation_data=(x, other),
        validation_freq=2,
    )
    assert len(logs["loss"]) == 3 and len(logs["val_loss"]) == 1
    assert trainer.best_network is networks[2]


def test_a_score_of_nan_is_named_and_not_chosen():
    x, y = data()
    bad = x.copy()
    bad[0] = np.nan
    trainer, _ = fitted(
        [one_dense(0), one_dense(1)],
        [],
        crossentropy(),
        x,
        y,
        monitor="val_loss",
        validation_data=(bad, y),
    )
    with pytest.raises(ValueError, match="`val_loss`: nan, nan"):
        _ = trainer.best_network


def test_scores_are_not_chosen_from_by_another_log():
    x, y = data()
    trainer, _ = fitted([one_dense(0)], ["accuracy"], crossentropy(), x, y)
    trainer.monitor = "val_loss"
    with pytest.raises(ValueError, match="`val_accuracy`.*`val_loss`"):
        _ = trainer.best_network


def test_the_way_comes_back_with_a_saved_trainer(tmp_path):
    x, y = data()
    trainer, logs = fitted(
        [one_dense(k) for k in range(3)],
        ["mae"],
        "mse",
        x,
        keras.utils.to_categorical(y),
        monitor="val_mae",
        mode="max",
    )
    chosen = trainer.networks.index(trainer.best_network)
    assert chosen == np.argmax([logs[f"val_network_{k}_mae"] for k in range(3)])
    trainer.save(tmp_path / "trainer.keras")
    again = keras.models.load_model(tmp_path / "trainer.keras")
    assert again.networks.index(again.best_network) == chosen
    # Of a version that knew no mode.
    config = trainer.get_config()
    del config["mode"]
    assert keras_graft.GraftTrainer.from_config(config).mode == "auto"


def test_a_trainer_that_is_loaded_uncompiled_knows_a_metric_of_keras(tmp_path):
    x, y = data()
    trainer, _ = fitted(
        [one_dense(k) for k in range(3)],
        ["mae"],
        "mse",
        x,
        keras.utils.to_categorical(y),
        monitor="val_mae",
    )
    chosen = trainer.networks.index(trainer.best_network)
    trainer.save(tmp_path / "trainer.keras")
    again = keras.models.load_model(tmp_path / "trainer.keras", compile=False)
    assert again.networks.index(again.best_network) == chosen
