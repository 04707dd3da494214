"""What stands beside heads: networks, losses, data and optimizers."""

import keras
import numpy as np
import scipy.sparse
from keras import layers
from keras import losses

SPARSE = losses.SparseCategoricalCrossentropy(from_logits=True)
SIZE = 24
rng = np.random.default_rng(0)
X = rng.normal(size=(SIZE, 6)).astype("float32")
MAPS = rng.normal(size=(SIZE, 4, 4, 2)).astype("float32")
STEPS = rng.normal(size=(SIZE, 5, 2)).astype("float32")
STEPS[::2, 3:] = 0.0  # Padding.
KIND = rng.integers(0, 3, SIZE)
BOX = rng.normal(size=(SIZE, 2)).astype("float32")
LABELS = rng.integers(0, 2, (SIZE, 4)).astype("float32")
WEIGHTS = np.linspace(0, 2, SIZE).astype("float32")
OF_STEPS = rng.integers(0, 3, (SIZE, 5))


def start(seed):
    return keras.initializers.GlorotUniform(seed)


def dense(units, shape=(6,), *before, sparse=False, **arguments):
    def make(seed):
        last = layers.Dense(units, kernel_initializer=start(seed), **arguments)
        inputs = keras.Input(shape, sparse=sparse)
        return keras.Sequential([inputs, *before, last])

    return make


def penalised(seed):
    first = layers.Dense(
        4,
        kernel_initializer=start(5),
        kernel_regularizer="l2",
        activity_regularizer="l1",
    )
    return dense(3, (6,), first)(seed)


def masked(seed):
    return dense(3, (5, 2), layers.Masking())(seed)


def two_heads(seed):
    inputs = keras.Input((6,))
    x = layers.Dense(5, "relu", kernel_initializer=start(seed))(inputs)
    kind = layers.Dense(3, kernel_initializer=start(seed + 1), name="kind")
    box = layers.Dense(2, kernel_initializer=start(seed + 2), name="box")
    return keras.Model(inputs, {"kind": kind(x), "box": box(x)})


class Subclassed(keras.Model):
    """Two heads that no graph shows."""

    def __init__(self, seed):
        super().__init__()
        self.kind = layers.Dense(3, kernel_initializer=start(seed))
        self.box = layers.Dense(2, kernel_initializer=start(seed + 1))

    def call(self, x):
        return {"kind": self.kind(x), "box": self.box(x)}


class Either(layers.Layer):
    def call(self, first, second=None):
        return first if second is None else first + second


def optional(seed):
    first = keras.Input((6,), name="first")
    second = keras.Input((6,), name="second", optional=True)
    last = layers.Dense(3, kernel_initializer=start(seed))
    return keras.Model(
        {"first": first, "second": second}, last(Either()(first, second))
    )


@keras.saving.register_keras_serializable(package="test_oracle")
class OwnLoss(keras.Sequential):
    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
        loss = super().compute_loss(x, y, y_pred, sample_weight)
        squares = keras.ops.mean(keras.ops.square(y_pred))
        self.squares.update_state(squares)
        return loss + 0.1 * squares


def own_loss(seed):
    network = OwnLoss(
        [
            keras.Input((6,)),
            layers.Dense(3, kernel_initializer=start(seed)),
        ]
    )
    network.squares = keras.metrics.Mean(name="squares")
    return network


@keras.saving.register_keras_serializable(package="test_oracle")
class OwnLossOfHeads(keras.Model):
    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
        loss = super().compute_loss(x, y, y_pred, sample_weight)
        return loss + 0.1 * keras.ops.mean(keras.ops.square(y_pred["box"]))


def own_loss_of_heads(seed):
    network = two_heads(seed)
    return OwnLossOfHeads(network.input, network.output)


class Watched(layers.Layer):
    """Hands on what it gets, and counts it in a metric of its own."""

    def __init__(self):
        super().__init__()
        self.seen = keras.metrics.Mean(name="seen")

    def call(self, x):
        self.seen.update_state(x)
        return x


def watched(seed):
    return dense(3, (6,), Watched())(seed)


def watched_within(seed):
    inner = keras.Sequential([keras.Input((6,)), Watched()])
    return dense(3, (6,), inner)(seed)


class Centred(losses.Loss):
    """Pulls towards where the predictions were before: it has a state."""

    def __init__(self):
        super().__init__()
        self.centre = keras.Variable(np.zeros(2, "float32"))

    def call(self, y_true, y_pred):
        ops = keras.ops
        loss = ops.mean(ops.square(y_pred - y_true - self.centre), axis=-1)
        mean = ops.mean(y_pred, axis=0)
        self.centre.assign(0.9 * self.centre + 0.1 * mean)
        return loss


def multi():
    maps = keras.optimizers.OptimizerMap(
        keras.optimizers.SGD(0.1), {".*bias": keras.optimizers.Adam(0.01)}
    )
    return keras.optimizers.MultiOptimizer(maps)


def averaging():
    return keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.7)


def swap(swap_on_epoch):
    return lambda: [keras.callbacks.SwapEMAWeights(swap_on_epoch)]


def nothing_but_first(seed=0):
    """Batches in which an optional input is missing."""
    for i in range(0, SIZE, 8):
        x = {"first": X[i : i + 8], "second": None}
        yield x, KIND[i : i + 8]


CLASSES = {
    "make": dense(3),
    "fit": {"x": X, "y": KIND},
    "compile": {"loss": SPARSE, "metrics": ["accuracy"]},
}
# Name -> what makes a network, and what is compiled and fitted; functions are
# called for each of the two that are compared.
COMBINATIONS = {
    "a feature without an axis": {
        "make": dense(1, (1,)),
        "fit": {"x": X[:, 0], "y": BOX[:, 0]},
        "compile": {"loss": "mse", "metrics": ["mae"]},
    },
    "sparse matrix": {
        "make": dense(3, sparse=True),
        "fit": {"x": scipy.sparse.coo_matrix(X * (X > 0)), "y": KIND},
        "compile": CLASSES["compile"],
    },
    "class_weight": CLASSES
    | {
        "fit": CLASSES["fit"] | {"class_weight": {0: 1.0, 1: 2.0, 2: 0.5}},
        "compile": CLASSES["compile"] | {"weighted_metrics": ["accuracy"]},
    },
    "class_weight, one-hot": {
        "make": dense(3, activation="softmax"),
        "fit": {
            "x": X,
            "y": np.eye(3)[KIND],
            "class_weight": {0: 1.0, 1: 2.0, 2: 0.5},
        },
        "compile": {"loss": "categorical_crossentropy"},
    },
    "weights of steps behind a mask": {
        "make": masked,
        "fit": {
            "x": STEPS,
            "y": OF_STEPS,
            "sample_weight": np.tile(WEIGHTS[:, None], 5),
        },
        "compile": {"loss": SPARSE, "weighted_metrics": ["accuracy"]},
    },
    "weights of pixels": {
        "make": dense(3, (4, 4, 2)),
        "fit": {
            "x": MAPS,
            "y": rng.integers(0, 3, (SIZE, 4, 4)),
            "sample_weight": rng.random((SIZE, 4, 4)).astype("float32"),
        },
        "compile": {"loss": SPARSE, "weighted_metrics": ["accuracy"]},
    },
    "weights by head": {
        "make": two_heads,
        "fit": {
            "x": X,
            "y": {"kind": KIND, "box": BOX},
            "sample_weight": {"kind": WEIGHTS, "box": WEIGHTS[::-1].copy()},
        },
        "compile": {
            "loss": {"kind": SPARSE, "box": "mae"},
            "weighted_metrics": {"kind": ["accuracy"], "box": ["mse"]},
        },
    },
    "loss with a state": {
        "make": dense(2),
        "fit": {"x": X, "y": BOX, "sample_weight": WEIGHTS},
        "compile": {"loss": Centred},
    },
    "loss with a state for a head": {
        "make": two_heads,
        "fit": {"x": X, "y": {"kind": KIND, "box": BOX}},
        "compile": {"loss": lambda: {"kind": SPARSE, "box": Centred()}},
    },
    "own loss and weights": CLASSES
    | {"make": own_loss, "fit": CLASSES["fit"] | {"sample_weight": WEIGHTS}},
    "subclassed heads": {
        "make": Subclassed,
        "fit": {"x": X, "y": {"kind": KIND, "box": BOX}},
        "compile": {
            "loss": {"kind": SPARSE, "box": "mse"},
            "metrics": {"kind": ["accuracy"], "box": ["mae"]},
        },
    },
    "own loss of heads": {
        "make": own_loss_of_heads,
        "fit": {"x": X, "y": {"kind": KIND, "box": BOX}},
        "compile": {"loss": {"kind": SPARSE, "box": "mse"}},
    },
    "metric of a layer": CLASSES
    | {
        "make": watched,
        "fit": CLASSES["fit"] | {"validation_data": (X + 1, KIND)},
    },
    "metric of a layer of a model within": CLASSES | {"make": watched_within},
    "optional input": {
        "make": optional,
        "fit": {"x": {"first": X, "second": None}, "y": KIND},
        "compile": CLASSES["compile"],
    },
    "optional input in batches": {
        "make": optional,
        "fit": {"x": nothing_but_first, "steps_per_epoch": 3, "epochs": 1},
        "compile": CLASSES["compile"],
    },
    "several optimizers": CLASSES | {"optimizer": multi},
    "several optimizers, float16": CLASSES
    | {"optimizer": multi, "policy": "mixed_float16"},
    "averages, float16": CLASSES
    | {
        "optimizer": averaging,
        "callbacks": swap(False),
        "policy": "mixed_float16",
        "fit": CLASSES["fit"] | {"validation_data": (X, KIND)},
    },
    "averages of epochs, float16": CLASSES
    | {
        "optimizer": averaging,
        "callbacks": swap(True),
        "policy": "mixed_float16",
        "fit": CLASSES["fit"] | {"validation_data": (X, KIND)},
    },
    "two steps at once": {
        **CLASSES,
        "compile": CLASSES["compile"] | {"steps_per_execution": 2},
    },
    "eager": {
        **CLASSES,
        "compile": CLASSES["compile"] | {"run_eagerly": True},
    },
    "penalties": CLASSES | {"make": penalised},
}
