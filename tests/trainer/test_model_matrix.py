"""Networks of every make: two steps, a graft, and what ships is plain Keras.

The large ones take a minute each and run where KERAS_GRAFT_ALL_MODELS=1 asks
for them: `KERAS_GRAFT_ALL_MODELS=1 pytest -m slow` with this file.
"""

import json
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import applications
from keras import layers
from subclassed_networks import Subclassed

import keras_graft

SPARSE = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

# Loads files without this package, and tells what they predict.
LOAD = """
import json, sys
import keras, numpy as np
for line in sys.stdin:
    path, images, found, known = json.loads(line)
    for name in known:
        __import__(name)
    model = keras.models.load_model(path)
    assert not any(name.startswith("keras_graft") for name in sys.modules)
    outputs = model.predict(np.load(images), verbose=0)
    np.savez(found, *keras.tree.flatten(outputs))
    print("done", flush=True)
"""


@pytest.fixture(scope="module")
def load(tmp_path_factory):
    """A process without keras_graft, which loads one file after the other."""
    root = pathlib.Path(keras_graft.__file__).parents[1]
    folders = [str(root), str(pathlib.Path(__file__).parents[1])]
    errors = tmp_path_factory.mktemp("load") / "stderr.txt"
    with (
        open(errors, "w") as stderr,
        subprocess.Popen(
            [sys.executable, "-c", LOAD],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(folders)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        ) as process,
    ):

        def predictions(path, images, known):
            found = path.with_name("found.npz")
            names = [str(path), str(images), str(found), known]
            process.stdin.write(json.dumps(names) + "\n")
            process.stdin.flush()
            answer = process.stdout.readline()
            assert answer == "done\n", errors.read_text()[-2000:]
            with np.load(found) as outputs:
                return list(outputs.values())

        yield predictions
        process.stdin.close()


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


def subclassed(seed):
    keras.utils.set_random_seed(seed)
    network = Subclassed()
    network(np.zeros([1, 16, 16, 3], "float32"))
    return network


def nested(seed):
    keras.utils.set_random_seed(seed)
    image = keras.Input((16, 16, 3))
    x = layers.BatchNormalization()(layers.Conv2D(8, 3, strides=2)(image))
    base = keras.Model(image, layers.ReLU()(x), name="base")
    image = keras.Input((16, 16, 3))
    x = layers.GlobalAveragePooling2D()(base(image))
    return keras.Model(image, layers.Dense(3)(x))


def hub_resnet(seed):
    hub = pytest.importorskip("keras_hub")
    keras.utils.set_random_seed(seed)
    backbone = hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[3],
        stackwise_num_filters=[64, 64],
        stackwise_num_blocks=[1, 1],
        stackwise_num_strides=[1, 2],
        block_type="basic_block",
        image_shape=(32, 32, 3),
    )
    return hub.models.ResNetImageClassifier(backbone, num_classes=3)


def hub_vit(seed):
    hub = pytest.importorskip("keras_hub")
    keras.utils.set_random_seed(seed)
    backbone = hub.models.ViTBackbone((32, 32, 3), 8, 2, 2, 16, 32)
    return hub.models.ViTImageClassifier(backbone, num_classes=3)


def hub_mobilenet(seed):
    hub = pytest.importorskip("keras_hub")
    keras.utils.set_random_seed(seed)
    backbone = hub.models.MobileNetBackbone(
        stackwise_expansion=[[16, 24], [24, 24]],
        stackwise_num_blocks=[2, 2],
        stackwise_num_filters=[[16, 16], [24, 24]],
        stackwise_kernel_size=[[3, 3], [5, 5]],
        stackwise_num_strides=[[2, 1], [2, 1]],
        stackwise_se_ratio=[[None, None], [0.25, 0.25]],
        stackwise_activation=[["relu", "relu"], ["hard_swish", "hard_swish"]],
        stackwise_padding=[[1, 1], [2, 2]],
        output_num_filters=32,
        input_activation="hard_swish",
        output_activation="hard_swish",
        input_num_filters=16,
        image_shape=(32, 32, 3),
        depthwise_filters=8,
        depthwise_stride=2,
        depthwise_residual=False,
        squeeze_and_excite=0.5,
        last_layer_filter=32,
    )
    return hub.models.MobileNetImageClassifier(backbone, num_classes=3)


QUICK = {
    "two heads": (two_headed, (16, 16, 3)),
    "segmentation": (segmentation, (16, 16, 3)),
    "1-D": (one_dimension, (32, 3)),
    "3-D": (three_dimensions, (8, 8, 8, 1)),
    "subclassed": (subclassed, (16, 16, 3)),
    "nested": (nested, (16, 16, 3)),
    "KerasHub ResNet": (hub_resnet, (32, 32, 3)),
    "KerasHub ViT": (hub_vit, (32, 32, 3)),
    "KerasHub MobileNet": (hub_mobilenet, (32, 32, 3)),
}
# In these a slow test looks by default.
SLOW = {
    "MobileNetV2": application("MobileNetV2", alpha=0.35),
    "MobileNetV3Small": application("MobileNetV3Small", size=32),
}
# All of them were seen to pass.
LARGE = {
    name: application(name, size)
    for name, size in (
        ("EfficientNetB0", 32),
        ("VGG16", 32),
        ("ConvNeXtTiny", 32),
        ("ResNet50", 32),
        ("ResNet50V2", 32),
        ("EfficientNetV2B0", 32),
        ("DenseNet121", 32),
        ("InceptionV3", 75),
        ("Xception", 71),
        ("NASNetMobile", 32),
    )
}
MODELS = QUICK | SLOW | LARGE

_IF_ASKED_FOR = pytest.mark.skipif(
    os.environ.get("KERAS_GRAFT_ALL_MODELS") != "1",
    reason="takes a minute or more: KERAS_GRAFT_ALL_MODELS=1",
)


def marks_of(name):
    if name in ("two heads", "segmentation", "subclassed"):
        return ()
    return (pytest.mark.slow, *[_IF_ASKED_FOR][: name in LARGE])


# What a process needs to know to read the file.
KNOWN = {"subclassed": ["subclassed_networks"]} | {
    name: ["keras_hub"] for name in QUICK if name.startswith("KerasHub")
}


@pytest.mark.filterwarnings("ignore:The structure of `inputs`")
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=marks_of(name)) for name in MODELS]
)
def test_a_model_trains_is_grafted_and_ships(name, tmp_path, load):
    make, shape = MODELS[name]
    networks = [make(seed) for seed in range(2)]
    # EfficientNet validates to NaN after batches of two, in plain Keras too.
    size = 4 if name in LARGE else 2
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 255, (2 * size, *shape)).astype("float32")
    labels = np.arange(2 * size) % 2
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
        batch_size=size,
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
    found = load(path, images, KNOWN.get(name, []))
    expected = keras.tree.flatten(trainer.best_network.predict(x, verbose=0))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
