"""Networks of every make: two steps, a graft, and what ships is plain Keras."""

import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import applications
from keras import layers

import keras_graft

SPARSE = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

# Loads a file without this package, and tells what it predicts.
LOAD = """
import sys
import keras, numpy as np
model = keras.models.load_model(sys.argv[1])
assert not any(name.startswith("keras_graft") for name in sys.modules)
outputs = model.predict(np.load(sys.argv[2]), verbose=0)
np.savez(sys.argv[3], *keras.tree.flatten(outputs))
"""


def application(name, size=64, **arguments):
    def make(seed):
        keras.utils.set_random_seed(seed)
        return getattr(applications, name)(
            weights=None,
            classes=3,
            input_shape=(size, size, 3),
            classifier_activation=None,
            **arguments,
        )

    return make, (size, size, 3)


def two_headed(seed):
    keras.utils.set_random_seed(seed)
    image = keras.Input((16, 16, 3))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(8, 3)(image)))
    x = layers.GlobalAveragePooling2D()(x)
    heads = {"kind": layers.Dense(3)(x), "side": layers.Dense(2)(x)}
    return keras.Model(image, heads)


def segmentation(seed):
    keras.utils.set_random_seed(seed)
    image = keras.Input((16, 16, 3))
    x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(image)
    x = layers.Conv2DTranspose(8, 3, strides=2, padding="same")(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    return keras.Model(
        image, layers.Conv2D(3, 1)(layers.Concatenate()([x, image]))
    )


def one_dimension(seed):
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input((32, 3)),
            layers.Conv1D(8, 3),
            layers.BatchNormalization(),
            layers.SeparableConv1D(8, 3, activation="relu"),
            layers.GlobalMaxPooling1D(),
            layers.Dense(3),
        ]
    )


def three_dimensions(seed):
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input((8, 8, 8, 1)),
            layers.Conv3D(4, 3, activation="relu"),
            layers.GlobalAveragePooling3D(),
            layers.Dense(3),
        ]
    )


MODELS = {
    "MobileNetV2": application("MobileNetV2", alpha=0.35),
    "VGG16": application("VGG16", size=32),
    "ConvNeXtTiny": application("ConvNeXtTiny", size=32),
    "two heads": (two_headed, (16, 16, 3)),
    "segmentation": (segmentation, (16, 16, 3)),
    "1-D": (one_dimension, (32, 3)),
    "3-D": (three_dimensions, (8, 8, 8, 1)),
}
# The small ones are no matter of minutes.
QUICK = ("two heads", "segmentation", "1-D", "3-D")


@pytest.mark.filterwarnings("ignore:The structure of `inputs`")
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in QUICK else pytest.mark.slow)
        for name in MODELS
    ],
)
def test_a_model_trains_is_grafted_and_ships(name, tmp_path):
    make, shape = MODELS[name]
    networks = [make(seed) for seed in range(2)]
    # Statistics of a batch of two are what they are.
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 255, (8, *shape)).astype("float32")
    labels = np.arange(8) % 2
    loss, y = SPARSE, labels
    if name == "two heads":
        loss = {"kind": SPARSE, "side": SPARSE}
        y = {"kind": labels, "side": labels}
    elif name == "segmentation":
        y = np.tile(labels[:, None, None], (1, *shape[:2]))
    trainer = keras_graft.GraftTrainer(networks, monitor="val_loss")
    trainer.compile(keras.optimizers.SGD(1e-4), loss)
    graft = keras_graft.GraftCallback()
    logs = trainer.fit(
        x,
        y,
        batch_size=4,
        epochs=2,
        validation_data=(x, y),
        callbacks=[graft],
        verbose=0,
    ).history
    assert graft.coefficients
    assert np.isfinite([values[-1] for values in logs.values()]).all()
    assert list(trainer.status) == ["live", "live"]
    path, images = tmp_path / "shipped.keras", tmp_path / "images.npy"
    trainer.best_network.save(path)
    np.save(images, x)
    found = tmp_path / "found.npz"
    root = pathlib.Path(keras_graft.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", LOAD, path, images, found],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    expected = keras.tree.flatten(trainer.best_network.predict(x, verbose=0))
    with np.load(found) as outputs:
        for a, b in zip(outputs.values(), expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
