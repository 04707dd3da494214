"""Networks of one dense layer, data for them, and their training."""

import keras
import numpy as np
from builders import make_trainer


def flat_dense(seed, units=3, last=(), **dense):
    init = keras.initializers.GlorotUniform(seed)
    body = [
        keras.layers.Flatten(),
        keras.layers.Dense(units, kernel_initializer=init, **dense),
    ]
    return keras.Sequential([keras.Input((4, 4, 1)), *body, *last])


def data(examples=32, classes=3):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(examples, 4, 4, 1)).astype("float32")
    return x, rng.integers(0, classes, examples)


def trainer_of(networks, distillation=None, **changes):
    changes.setdefault("optimizer", keras.optimizers.SGD(0.01))
    return make_trainer(networks, distillation, **changes)


def fit(trainer, x, y, epochs=1, **more):
    more.setdefault("batch_size", 8)
    return trainer.fit(
        x, y, epochs=epochs, shuffle=False, verbose=0, **more
    ).history
