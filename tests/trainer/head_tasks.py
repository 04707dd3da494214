"""A task for each kind of head: network, data, what is compiled."""

import keras
import numpy as np
from keras import layers
from keras import losses

SPARSE = losses.SparseCategoricalCrossentropy(from_logits=True)
rng = np.random.default_rng(0)
X = rng.normal(size=(24, 8, 8, 1)).astype("float32")
STEPS = rng.normal(size=(24, 5, 2)).astype("float32")
STEPS[:, 3:] = 0.0  # Padding.


def start(seed):
    return keras.initializers.GlorotUniform(seed)


def on_images(*ends, seed=0):
    flat = [
        layers.Conv2D(4, 3, activation="relu", kernel_initializer=start(seed))
    ]
    return keras.Sequential([keras.Input((8, 8, 1)), *flat, *ends])


def vector(units, activation=None):
    def make(seed):
        dense = layers.Dense(units, activation, kernel_initializer=start(seed))
        return on_images(layers.Flatten(), dense, seed=seed)

    return make


def pixels(seed):
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(3, 3, padding="same", kernel_initializer=start(seed)),
        ]
    )


def steps(seed):
    return keras.Sequential(
        [
            keras.Input((5, 2)),
            layers.Masking(),
            layers.Dense(3, kernel_initializer=start(seed)),
        ]
    )


def heads(structure):
    def make(seed):
        image = keras.Input((8, 8, 1))
        conv = layers.Conv2D(4, 3, kernel_initializer=start(seed))(image)
        flat = layers.Flatten()(conv)
        kind = layers.Dense(3, name="kind", kernel_initializer=start(seed))
        box = layers.Dense(2, name="box", kernel_initializer=start(seed + 9))
        return keras.Model(image, structure(kind(flat), box(flat)))

    return make


def as_dict(kind, box):
    return {"kind": kind, "box": box}


def as_list(kind, box):
    return [kind, box]


KIND = rng.integers(0, 3, 24)
BOX = rng.normal(size=(24, 2)).astype("float32")

# Name -> network, inputs, labels, what is compiled, sample weights.
TASKS = {
    "classes": (vector(3), X, KIND, {"loss": SPARSE, "metrics": ["accuracy"]}),
    "one-hot probabilities": (
        vector(3, "softmax"),
        X,
        np.eye(3)[KIND],
        {"loss": "categorical_crossentropy", "metrics": ["accuracy", "auc"]},
    ),
    "binary": (
        vector(1),
        X,
        (KIND > 1).astype("float32")[:, None],
        {
            "loss": losses.BinaryCrossentropy(from_logits=True),
            "metrics": [keras.metrics.BinaryAccuracy(threshold=0.0)],
        },
    ),
    "labels": (
        vector(4, "sigmoid"),
        X,
        rng.integers(0, 2, (24, 4)).astype("float32"),
        {"loss": "binary_crossentropy", "metrics": ["binary_accuracy"]},
    ),
    "regression": (
        vector(2),
        X,
        BOX,
        {"loss": "mse", "metrics": ["mae"], "weighted_metrics": ["mse"]},
        np.linspace(0, 2, 24),
    ),
    "pixels": (
        pixels,
        X,
        rng.integers(0, 3, (24, 8, 8)),
        {"loss": SPARSE, "metrics": ["accuracy"]},
    ),
    "ignored pixels": (
        pixels,
        X,
        np.where(rng.random((24, 8, 8)) < 0.3, 255, 1),
        {
            "loss": losses.SparseCategoricalCrossentropy(
                from_logits=True, ignore_class=255
            )
        },
    ),
    "steps behind a mask": (
        steps,
        STEPS,
        rng.integers(0, 3, (24, 5)),
        {"loss": SPARSE, "metrics": ["accuracy"]},
    ),
    "dict": (
        heads(as_dict),
        X,
        {"kind": KIND, "box": BOX},
        {
            "loss": {"kind": SPARSE, "box": "mse"},
            "loss_weights": {"kind": 1.0, "box": 0.3},
            "metrics": {"kind": ["accuracy"], "box": ["mae"]},
        },
    ),
    "dict of which one is trained": (
        heads(as_dict),
        X,
        {"kind": KIND},
        {"loss": {"kind": SPARSE}},
    ),
    "list": (
        heads(as_list),
        X,
        [KIND, BOX],
        {"loss": [SPARSE, "mae"], "metrics": [["accuracy"], ["mse"]]},
    ),
    "keyed list": (
        heads(as_list),
        X,
        [KIND, BOX],
        {"loss": {"kind": SPARSE, "box": "mae"}, "loss_weights": [2.0, 1.0]},
    ),
}
