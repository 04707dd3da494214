"""Heads of every kind, trained by a trainer of one and by plain `fit`."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from builders import slow_but
from head_tasks import BOX
from head_tasks import KIND
from head_tasks import SPARSE
from head_tasks import TASKS
from head_tasks import X
from head_tasks import start
from head_tasks import vector
from keras import layers

import keras_graft


def trained(model, task):
    _, x, y, compiled, *weights = TASKS[task]
    copies = {
        name: keras.tree.map_structure(
            lambda m: (
                m
                if not isinstance(m, keras.metrics.Metric)
                else type(m).from_config(m.get_config())
            ),
            value,
        )
        for name, value in compiled.items()
    }
    model.compile(keras.optimizers.SGD(0.05), **copies)
    history = model.fit(
        x,
        y,
        batch_size=8,
        epochs=2,
        shuffle=False,
        verbose=0,
        sample_weight=weights[0] if weights else None,
        validation_data=(x, y),
    )
    return history.history


# `classes` are trained everywhere else.
QUICK = ("binary", "pixels", "dict")


@pytest.mark.filterwarnings("ignore:Gradients do not exist")
@pytest.mark.parametrize("task", slow_but(QUICK, TASKS))
def test_a_trainer_of_one_is_plain_fit(task):
    make = TASKS[task][0]
    plain, network = make(0), make(0)
    expected = trained(plain, task)
    trainer = keras_graft.GraftTrainer(
        [network], distillation=None, accelerate=False
    )
    found = trained(trainer, task)
    for a, b in zip(network.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-6, err_msg=name)


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


KINDS = {
    "classes": "class_logits",
    "binary": "binary_logits",
    "labels": "label_probabilities",
    "regression": "regression",
    "pixels": "class_logits",
    "steps behind a mask": "class_logits",
    "dict": {"kind": "class_logits", "box": "regression"},
    "list": ["class_logits", "regression"],
}

MEANT = {
    "class_logits": softmax,
    "binary_logits": lambda z: 1 / (1 + np.exp(-z)),
}


@pytest.mark.parametrize(
    "task",
    slow_but(("labels", "dict"), KINDS),
)
def test_predict_is_the_mean_of_what_the_heads_mean(task):
    kinds = KINDS[task]
    make, x, y, *_ = TASKS[task]
    networks = [make(0), make(1)]
    trainer = keras_graft.GraftTrainer(networks, distillation=None)
    logs = trained(trainer, task)
    expected = keras.tree.map_structure(
        lambda kind, *z: np.mean(
            [MEANT.get(kind, np.asarray)(a) for a in z], 0
        ),
        kinds,
        *(network.predict(x, verbose=0) for network in networks),
    )
    found = trainer.predict(x, verbose=0)
    keras.tree.map_structure(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6),
        found,
        expected,
    )
    if task in ("classes", "pixels"):
        accuracy = np.mean(found.argmax(-1) == y)
        np.testing.assert_allclose(
            logs["val_ensemble_accuracy"][-1], accuracy, atol=1e-6
        )
    if task == "binary":
        accuracy = np.mean((found > 0.5) == y)
        np.testing.assert_allclose(
            logs["val_ensemble_binary_accuracy"][-1], accuracy, atol=1e-6
        )
    if task == "dict":
        assert {"val_kind_loss", "val_network_1_box_mae"} <= logs.keys()
        np.testing.assert_allclose(
            logs["val_ensemble_box_mae"][-1],
            np.abs(found["box"] - BOX).mean(),
            rtol=1e-4,
        )


def divergence(kind, a, b, temperature):
    """From b's predictions to a's, by hand; a and b are logits or values."""
    if kind == "regression":
        return np.square(a - b).mean()
    a, b = a / temperature, b / temperature
    if kind == "class_logits":
        p, q = softmax(b), softmax(a)
        found = (p * np.log(p / q)).sum(-1)
    else:
        p, q = 1 / (1 + np.exp(-b)), 1 / (1 + np.exp(-a))
        found = p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))
    return temperature**2 * found.mean()


@pytest.mark.parametrize(
    "task, kinds, arguments",
    [
        ("classes", ["class_logits"], {}),
        ("binary", ["binary_logits"], {}),
        ("pixels", ["class_logits"], {}),
        ("regression", ["regression"], {"regression": True}),
        # Heads in the order of `keras.tree`: box, kind.
        ("dict", ["", "class_logits"], {}),
        ("dict", ["regression", ""], {"head_weights": {"box": 1.0}}),
        (
            "dict",
            ["regression", "class_logits"],
            {"head_weights": {"box": 0.5, "kind": 2.0}},
        ),
    ],
)
def test_peers_teach_head_by_head(task, kinds, arguments):
    make, x, y, compiled, *_ = TASKS[task]
    networks = [make(0), make(1)]
    outputs = [
        keras.tree.flatten(network.predict(x, verbose=0))
        for network in networks
    ]
    trainer = keras_graft.GraftTrainer(
        networks, keras_graft.MutualDistillation(temperature=3.0, **arguments)
    )
    trainer.compile(keras.optimizers.SGD(0.0), compiled["loss"])
    logs = trainer.fit(x, y, batch_size=24, verbose=0).history
    factors = list((arguments.get("head_weights") or {}).values())
    expected = [
        sum(
            factor * divergence(kind, own[i], peer[i], 3.0)
            for factor, (i, kind) in zip(
                factors or [1.0] * 9,
                [(i, kind) for i, kind in enumerate(kinds) if kind],
                strict=False,
            )
        )
        for own, peer in (outputs, outputs[::-1])
    ]
    np.testing.assert_allclose(
        logs["distillation_loss"], np.mean(expected), rtol=1e-4
    )


def test_values_are_not_taught_unasked():
    make, x, y, compiled, *_ = TASKS["regression"]
    trainer = keras_graft.GraftTrainer([make(0), make(1)])
    trainer.compile("sgd", "mse")
    with pytest.raises(ValueError, match="is regression.*regression=True"):
        trainer.fit(x, y, verbose=0)


@pytest.mark.parametrize("kind", ["sparse", "ragged", "optional"])
def test_inputs_that_plain_fit_takes(kind):
    ids = [[1, 2, 3], [2], [3, 1], [1, 1]] * 2
    labels = np.arange(8) % 2
    if kind == "ragged":
        x = tf.ragged.constant(ids)
        body = [
            keras.Input((None,), dtype="int64", ragged=True),
            layers.Lambda(lambda r: tf.one_hot(r.to_tensor(), 4)),
            layers.GlobalAveragePooling1D(),
        ]
    elif kind == "sparse":
        x = tf.sparse.from_dense(np.eye(8, 6, dtype="float32"))
        body = [keras.Input((6,), sparse=True)]
    else:
        x = {"image": np.eye(8, 6, dtype="float32"), "extra": None}

    def make():
        dense = layers.Dense(2, kernel_initializer=start(0))
        if kind != "optional":
            return keras.Sequential([*body, dense])
        image = keras.Input((6,), name="image")
        extra = keras.Input((6,), name="extra", optional=True)

        class Either(layers.Layer):
            def call(self, image, extra=None):
                return image if extra is None else image + extra

        return keras.Model(
            {"image": image, "extra": extra}, dense(Either()(image, extra))
        )

    def fit(model):
        model.compile(keras.optimizers.SGD(0.1), SPARSE)
        model.fit(x, labels, batch_size=4, shuffle=False, verbose=0)

    plain, network = make(), make()
    fit(plain)
    fit(keras_graft.GraftTrainer([network], None, accelerate=False))
    for a, b in zip(network.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_compute_loss_of_its_own_counts():
    @keras.saving.register_keras_serializable(package="test_heads_in_fit")
    class Smaller(keras.Sequential):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
            loss = super().compute_loss(x, y, y_pred, sample_weight)
            return loss + 0.5 * keras.ops.mean(keras.ops.square(y_pred))

    def make():
        return Smaller(
            vector(3)(0).layers[:-1]
            + [layers.Dense(3, kernel_initializer=start(4))]
        )

    plain, network = make(), make()
    for model in (
        plain,
        keras_graft.GraftTrainer([network], None, accelerate=False),
    ):
        model.build((None, 8, 8, 1))
        model.compile(keras.optimizers.SGD(0.1), SPARSE)
        model.fit(X, KIND, batch_size=8, shuffle=False, verbose=0)
    for a, b in zip(network.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)


def test_a_step_of_its_own_is_refused_by_name():
    class OwnStep(keras.Sequential):
        def train_step(self, data):
            return {}

    with pytest.raises(ValueError, match="OwnStep.*train_step of its own"):
        keras_graft.GraftTrainer([OwnStep([layers.Dense(2)])])


def test_a_preprocessor_is_refused_by_name():
    class Task(keras.Sequential):
        preprocessor = object()

    with pytest.raises(ValueError, match="preprocessor = None"):
        keras_graft.GraftTrainer([Task([layers.Dense(2)])])


def test_networks_may_share_a_frozen_base():
    base = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(3, 3),
            layers.BatchNormalization(),
        ]
    )

    def make(seed):
        image = keras.Input((8, 8, 1))
        flat = layers.Flatten()(base(image))
        return keras.Model(
            image, layers.Dense(3, kernel_initializer=start(seed))(flat)
        )

    networks = [make(0), make(1)]
    with pytest.raises(ValueError, match="share the layer"):
        keras_graft.GraftTrainer(networks)
    base.trainable = False
    before = base.get_weights()
    trainer = keras_graft.GraftTrainer(networks)
    trainer.compile(keras.optimizers.SGD(0.1), SPARSE, metrics=["accuracy"])
    trainer.fit(X, KIND, verbose=0)
    for a, b in zip(base.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)
    heads = [network.layers[-1].get_weights()[0] for network in networks]
    assert np.abs(heads[0] - heads[1]).max() > 0


class Ragged(keras.Model):
    def __init__(self):
        super().__init__()
        self.scale = keras.layers.Dense(1)

    def call(self, x):
        scaled = self.scale(x.flat_values[:, None])
        return x.with_flat_values(scaled[:, 0])


@pytest.mark.parametrize("count", [1, 2])
def test_ragged_outputs_are_refused(count):
    trainer = keras_graft.GraftTrainer([Ragged() for _ in range(count)], None)
    trainer.compile("sgd", lambda y, y_pred: 0.0)
    x = tf.ragged.constant([[1.0], [2.0, 3.0]])
    with pytest.raises(ValueError, match="RaggedTensor.*to_tensor"):
        trainer.fit(x, x, verbose=0)
