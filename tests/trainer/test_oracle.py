"""One network against plain `fit`, and N networks against a NumPy program.

What `test_heads_in_fit.py` does head by head is done here for what is given
beside them: weights, masks, losses with a state, optimizers, precision.
"""

import contextlib

import keras
import numpy as np
import pytest
from keras import losses
from oracle_cases import BOX
from oracle_cases import COMBINATIONS
from oracle_cases import KIND
from oracle_cases import LABELS
from oracle_cases import OF_STEPS
from oracle_cases import SIZE
from oracle_cases import SPARSE
from oracle_cases import STEPS
from oracle_cases import WEIGHTS
from oracle_cases import Centred
from oracle_cases import Subclassed
from oracle_cases import X
from oracle_cases import dense
from oracle_cases import masked
from oracle_cases import two_heads
from oracle_cases import watched

import keras_graft


@contextlib.contextmanager
def dtype_policy(name):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def trained(model, given):
    loss = given["compile"]["loss"]
    if not isinstance(loss, str | dict | losses.Loss):
        loss = loss()
    compiled = given["compile"] | {"loss": loss}
    make = given.get("optimizer", lambda: keras.optimizers.SGD(0.1))
    model.compile(make(), **compiled)
    fit = dict(given["fit"])
    if callable(fit["x"]):
        fit["x"] = fit["x"]()
    usual = {"epochs": 2, "batch_size": 8, "shuffle": False, "verbose": 0}
    callbacks = given.get("callbacks", list)()
    return model.fit(callbacks=callbacks, **(usual | fit)).history


# Where acceleration has something to replace or to get wrong.
ACCELERATED = (
    "weights of steps behind a mask",
    "weights by head",
    "loss with a state",
    "averages, float16",
)
# What has most to do with how a trainer takes a batch apart.
QUICK = (
    "sparse matrix",
    "class_weight",
    "weights of pixels",
    "weights by head",
    "loss with a state for a head",
    "metric of a layer",
    "optional input",
    "several optimizers, float16",
    "two steps at once",
    "eager",
)


@pytest.mark.parametrize(
    "name, accelerate",
    [
        *(
            pytest.param(
                name, False, marks=() if name in QUICK else pytest.mark.slow
            )
            for name in COMBINATIONS
        ),
        *((name, True) for name in ACCELERATED),
    ],
)
def test_a_trainer_of_one_is_plain_fit(name, accelerate):
    given = COMBINATIONS[name]
    with dtype_policy(given.get("policy", "float32")):
        plain, network = given["make"](0), given["make"](0)
        expected = trained(plain, given)
        trainer = keras_graft.GraftTrainer(
            [network], distillation=None, accelerate=accelerate
        )
        found = trained(trainer, given)
    near = {"rtol": 1e-5, "atol": 1e-6} if accelerate else {"rtol": 0}
    for a, b in zip(network.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, **near)
    for log, values in expected.items():
        np.testing.assert_allclose(
            found[log], values, rtol=1e-5, atol=1e-6, err_msg=log
        )


@pytest.mark.parametrize("eager", [True, False])
def test_batches_of_a_loop_of_ones_own_are_those_of_plain_keras(eager):
    found = []
    plain, network = dense(3)(0), dense(3)(0)
    trainer = keras_graft.GraftTrainer([network], None, accelerate=False)
    for model in (plain, trainer):
        sgd = keras.optimizers.SGD(0.1)
        model.compile(sgd, SPARSE, metrics=["accuracy"], run_eagerly=eager)
        logs = [model.train_on_batch(X, KIND, WEIGHTS) for _ in range(2)]
        weights = {0: 1.0, 1: 2.0, 2: 0.0}
        logs.append(model.train_on_batch(X, KIND, class_weight=weights))
        model.reset_metrics()
        found.append([*logs, model.test_on_batch(X, KIND, WEIGHTS)])
    np.testing.assert_allclose(found[1], found[0], rtol=1e-6)
    for a, b in zip(network.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_list_of_several_heads_is_in_keras_order():
    found = []
    trainer = keras_graft.GraftTrainer([two_heads(0)], None)
    for model in (two_heads(0), trainer):
        model.compile(
            "sgd",
            {"kind": SPARSE, "box": "mse"},
            metrics={"kind": ["accuracy"], "box": ["mse", "mae"]},
            run_eagerly=True,
        )
        labels = {"kind": KIND, "box": BOX}
        found.append(model.evaluate(X, labels, SIZE, 0))
    np.testing.assert_allclose(found[1], found[0], rtol=1e-6)
    logs = trainer.evaluate(X, labels, SIZE, 0, return_dict=True)
    assert found[1] == [logs[name] for name in trainer.metrics_names]


def test_a_loss_with_a_state_is_each_networks_own(tmp_path):
    def fitted(model, *callbacks, epochs=2):
        model.compile(keras.optimizers.SGD(0.1), Centred())
        model.fit(
            X,
            BOX,
            epochs=epochs,
            batch_size=8,
            shuffle=False,
            verbose=0,
            callbacks=list(callbacks),
        )
        return model

    make = dense(2)
    alone = [fitted(make(seed)).get_weights() for seed in range(2)]

    def trainer():
        networks = [make(seed) for seed in range(2)]
        return keras_graft.GraftTrainer(
            networks, None, accelerate=False, heads="regression"
        )

    together = fitted(trainer())
    # One epoch, and the other after a stop: the state comes back too.
    checkpoint = keras_graft.RunCheckpoint(tmp_path)
    fitted(trainer(), checkpoint, epochs=1)
    resumed = fitted(trainer(), keras_graft.RunCheckpoint(tmp_path))
    for found in (together, resumed):
        for network, expected in zip(found.networks, alone, strict=True):
            for a, b in zip(network.get_weights(), expected, strict=True):
                np.testing.assert_array_equal(a, b)


def test_a_skipped_step_leaves_the_state_of_the_loss_alone():
    trainer = keras_graft.GraftTrainer([dense(2)(0)], None)
    loss = Centred()
    trainer.compile(keras.optimizers.SGD(0.1), loss)
    x = X[:8].copy()
    trainer.fit(x, BOX[:8], batch_size=8, verbose=0)
    before = loss.centre.numpy()
    assert np.abs(before).max() > 0
    x[0] = np.nan
    logs = trainer.fit(x, BOX[:8], batch_size=8, verbose=0).history
    assert logs["network_0_skipped_steps"] == [1]
    np.testing.assert_array_equal(loss.centre.numpy(), before)


def test_metrics_of_layers_are_each_networks_own():
    trainer = keras_graft.GraftTrainer([watched(0), watched(1)], None)
    trainer.compile("sgd", SPARSE, metrics=["accuracy"])
    x = X[:16].copy()
    found = trainer.evaluate(x, KIND[:16], 8, 0, return_dict=True)
    for log in ("seen", "network_0_seen", "network_1_seen"):
        np.testing.assert_allclose(found[log], x.mean(), rtol=1e-5)
    assert trainer.metrics_names == ["loss", "accuracy", "seen"]
    x[0] = np.nan
    views = {"network_0": X[:16], "network_1": x}
    found = trainer.fit(views, KIND[:16], 8, verbose=0, shuffle=False).history
    assert found["network_1_skipped_steps"] == [1]
    # The step that was skipped is in no log.
    for k, seen in enumerate([X[:16], x[8:]]):
        np.testing.assert_allclose(
            found[f"network_{k}_seen"], seen.mean(), rtol=1e-5
        )


def softmax(z):
    powers = np.exp(z - z.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def chosen(p, y):
    return np.take_along_axis(p, y[..., None], -1)[..., 0]


def bernoulli(p, y):
    return -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean(-1)


def test_subclassed_heads_learn_from_a_subclassed_teacher():
    networks = [Subclassed(0), Subclassed(1)]
    teacher = Subclassed(2)
    kind = [np.asarray(n(X)["kind"]) / 2 for n in (teacher, *networks)]
    given = {"kind": "class_logits", "box": "regression"}
    term = keras_graft.TeacherDistillation(teacher, 2.0, heads=given)
    trainer = keras_graft.GraftTrainer(networks, term)
    trainer.compile(
        keras.optimizers.SGD(0.0),
        {"kind": SPARSE, "box": "mse"},
        run_eagerly=True,
    )
    labels = {"kind": KIND, "box": BOX}
    found = trainer.fit(X, labels, SIZE, verbose=0).history
    target, *own = (np.log(softmax(z)) for z in kind)
    apart = [(np.exp(target) * (target - p)).sum(-1).mean() for p in own]
    np.testing.assert_allclose(
        found["distillation_loss"], [4 * np.mean(apart)], rtol=1e-4
    )


IS_STEP = (STEPS != 0).any(-1).astype("float32")
# Name -> network, inputs, labels, Keras' loss and metric; in NumPy what an
# output means, loss and metric of that by example, and weights.
TASKS = {
    "classes": (
        dense(3),
        X,
        KIND,
        SPARSE,
        "accuracy",
        softmax,
        lambda p, y: -np.log(chosen(p, y)),
        lambda p, y: p.argmax(-1) == y,
        WEIGHTS,
    ),
    "probabilities": (
        dense(3, activation="softmax"),
        X,
        KIND,
        "sparse_categorical_crossentropy",
        "accuracy",
        lambda z: z,
        lambda p, y: -np.log(chosen(p, y)),
        lambda p, y: p.argmax(-1) == y,
        WEIGHTS,
    ),
    "binary": (
        dense(1),
        X,
        LABELS[:, :1],
        losses.BinaryCrossentropy(from_logits=True),
        keras.metrics.BinaryAccuracy("accuracy", threshold=0.0),
        sigmoid,
        bernoulli,
        lambda p, y: ((p > 0.5) == y).mean(-1),
        WEIGHTS,
    ),
    "labels": (
        dense(4, activation="sigmoid"),
        X,
        LABELS,
        "binary_crossentropy",
        keras.metrics.BinaryAccuracy("accuracy"),
        lambda z: z,
        bernoulli,
        lambda p, y: ((p > 0.5) == y).mean(-1),
        WEIGHTS,
    ),
    "regression": (
        dense(2),
        X,
        BOX,
        "mse",
        keras.metrics.MeanAbsoluteError("accuracy"),
        lambda z: z,
        lambda z, y: np.square(z - y).mean(-1),
        lambda z, y: np.abs(z - y).mean(-1),
        WEIGHTS,
    ),
    "steps behind a mask": (
        masked,
        STEPS,
        OF_STEPS,
        SPARSE,
        "accuracy",
        softmax,
        lambda p, y: -np.log(chosen(p, y)),
        lambda p, y: p.argmax(-1) == y,
        np.ones([SIZE, 5], "float32"),
    ),
}


@pytest.mark.parametrize("name", TASKS)
def test_logs_of_networks_and_ensemble_are_those_of_numpy(name):
    make, x, y, loss, metric, meaning, loss_of, metric_of, weights = TASKS[name]
    networks = [make(0), make(1)]
    trainer = keras_graft.GraftTrainer(networks, None, monitor="val_loss")
    trainer.compile("sgd", loss, weighted_metrics=[metric])
    found = trainer.evaluate(
        x, y, SIZE, 0, sample_weight=weights, return_dict=True
    )
    # What is padded counts nowhere, and not among the examples either.
    there = IS_STEP if x is STEPS else np.ones(SIZE)
    meant = [meaning(n.predict(x, verbose=0)) for n in networks]
    together = np.mean(meant, axis=0)
    weights = weights * there
    expected = {}
    for k, p in enumerate(meant):
        expected[f"network_{k}_loss"] = (
            loss_of(p, y) * weights
        ).sum() / there.sum()
    for who, p in zip(
        ("network_0", "network_1", "ensemble"), [*meant, together], strict=True
    ):
        expected[f"{who}_accuracy"] = np.average(
            metric_of(p, y), weights=weights
        )
    for log in ("loss", "accuracy"):
        of_networks = [expected[f"network_{k}_{log}"] for k in range(2)]
        expected[log] = np.mean(of_networks)
    for log, value in expected.items():
        np.testing.assert_allclose(found[log], value, rtol=1e-5, err_msg=log)
    predicted = trainer.predict(x, verbose=0)
    np.testing.assert_allclose(predicted, together, rtol=1e-4, atol=1e-6)
