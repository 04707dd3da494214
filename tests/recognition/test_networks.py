"""Embedding networks: what they are made of, trained, and what ships."""

import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import layers

import keras_graft
from keras_graft import models
from keras_graft.recognition import SimilarityDistillation
from keras_graft.recognition import embedding_network
from keras_graft.recognition import shipped_model
from keras_graft.recognition.networks import feature_extractor
from keras_graft.recognition.networks import with_last_stride_1

IMAGES = np.random.default_rng(0).uniform(0, 255, (16, 8, 8, 1))
IDS = np.arange(16) % 4
# Keras wants labels for every output where there are metrics.
LABELS = {"logits": IDS, "embedding": IDS}


def small_backbone(seed=0, end=()):
    init = keras.initializers.GlorotUniform
    x = inputs = keras.Input((8, 8, 1))
    x = layers.Rescaling(1 / 255)(x)
    for i in range(2):
        x = layers.Conv2D(
            4, 3, strides=2, padding="same", kernel_initializer=init(seed + i)
        )(x)
        x = layers.BatchNormalization(synchronized=True)(x)
        x = layers.ReLU()(x)
    for layer in end:
        x = layer(x)
    return keras.Model(inputs, x, name="small")


def small_embedding(seed=0, **arguments):
    return embedding_network(small_backbone(seed), 4, seed=seed, **arguments)


def compiled(trainer):
    trainer.compile(
        optimizer=keras.optimizers.SGD(0.1, momentum=0.9),
        loss={
            "logits": keras.losses.SparseCategoricalCrossentropy(
                from_logits=True
            )
        },
        metrics={"logits": ["accuracy"]},
    )
    return trainer


def test_logits_and_embedding_come_out_as_a_dict():
    network = small_embedding()
    found = network.predict(IMAGES, verbose=0)
    assert {name: value.shape for name, value in found.items()} == {
        "logits": (16, 4),
        "embedding": (16, 4),
    }
    assert set(small_embedding(features=True).output) == {
        *("logits", "embedding", "features"),
    }
    assert small_embedding(embedding_size=7).output["embedding"].shape[1] == 7


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [
        ("average", lambda x: x.mean((1, 2))),
        ("generalized_mean", lambda x: (x**3).mean((1, 2)) ** (1 / 3)),
    ],
)
def test_the_feature_map_is_pooled_over_its_places(pooling, expected):
    backbone = small_backbone()
    network = embedding_network(backbone, 4, pooling, neck=False)
    found = network.predict(IMAGES, verbose=0)["embedding"]
    maps = backbone.predict(IMAGES, verbose=0)
    np.testing.assert_allclose(found, expected(maps), atol=1e-5)


def test_the_neck_normalises_features_without_a_shift():
    network = small_embedding(features=True)
    found = network(IMAGES, training=True)
    features = np.array(found["features"])
    expected = (features - features.mean(0)) / np.sqrt(features.var(0) + 1e-5)
    np.testing.assert_allclose(found["embedding"], expected, atol=1e-4)
    assert [w.name for w in network.get_layer("neck").trainable_weights] == [
        "gamma"
    ]
    assert len(network.get_layer("identities").weights) == 1


@pytest.mark.parametrize(
    "end",
    [
        (layers.GlobalAveragePooling2D(), layers.Dense(3)),
        (layers.Flatten(), layers.Dense(5), layers.Dense(3)),
        (),
    ],
)
def test_of_a_classification_network_the_feature_map_is_taken(end):
    body = feature_extractor(small_backbone(end=end))
    assert body.output.shape == (None, 2, 2, 4)


@pytest.mark.parametrize("name", ["resnet8", "mobilenetv2", "vgg16"])
def test_every_backbone_by_name_can_leave_out_its_last_halving(name):
    whole = models.build(name, 4, (32, 32, 3), width=0.1, seed=0)
    body = feature_extractor(whole)
    finer = with_last_stride_1(body)
    before, after = body.output.shape[1], finer.output.shape[1]
    # VGG's pooling of 2 pixels gives one place less at stride 1.
    assert after in (2 * before, 2 * before - 1)
    for own, copied in zip(
        body.get_weights(), finer.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(own, copied)


@pytest.mark.slow
def test_applications_end_in_a_finer_map_too():
    backbone = keras.applications.MobileNetV2(
        include_top=False, weights=None, input_shape=(64, 32, 3), alpha=0.35
    )
    network = embedding_network(backbone, 4, last_stride_1=True)
    # Padded for strides of 2, the first convolution of the last stage leaves
    # a place at either end out: 3 x 1 of 4 x 2, where it was 2 x 1.
    assert network.get_layer("feature_map").output.shape[1:3] == (3, 1)


@pytest.fixture(scope="module")
def trained():
    """Two networks with grafts, mutual and similarity distillation."""
    networks = [
        small_embedding(seed, pooling="generalized_mean") for seed in (0, 5)
    ]
    trainer = compiled(
        keras_graft.GraftTrainer(
            networks,
            [keras_graft.MutualDistillation(), SimilarityDistillation(0.5)],
            monitor="val_logits_accuracy",
        )
    )
    history = trainer.fit(
        IMAGES,
        LABELS,
        validation_data=(IMAGES, LABELS),
        epochs=2,
        batch_size=8,
        callbacks=[keras_graft.GraftCallback()],
        verbose=0,
    )
    return trainer, history.history


def test_grafts_and_distillation_work_on_it(trained):
    trainer, logs = trained
    assert logs["graft_coefficient"][1] < 1
    assert logs["distillation_loss"][0] > 0
    assert "val_network_1_logits_accuracy" in logs
    assert trainer.best_network in trainer.networks


def test_a_graft_reaches_every_layer():
    networks = [small_embedding(seed, embedding_size=3) for seed in (0, 5)]
    neck = networks[1].get_layer("neck").gamma
    neck.assign([1.0, 2.0, 3.0])
    before = [network.get_weights() for network in networks]
    trainer = compiled(keras_graft.GraftTrainer(networks, distillation=None))
    graft = keras_graft.GraftCallback(amplitude=0.0)
    graft.set_model(trainer)
    graft.on_train_begin()
    graft.graft(1)
    for one, two, *after in zip(
        *before, *[network.get_weights() for network in networks], strict=True
    ):
        for found in after:
            np.testing.assert_allclose(found, (one + two) / 2, atol=1e-6)


def test_what_ships_is_plain_keras(trained, tmp_path):
    trainer, _ = trained
    shipped = shipped_model(trainer.best_network)
    path = tmp_path / "shipped.keras"
    shipped.save(path)
    expected = shipped.predict(IMAGES, verbose=0)
    np.testing.assert_array_equal(
        trainer.best_network.predict(IMAGES, verbose=0)["embedding"], expected
    )
    np.save(tmp_path / "images.npy", IMAGES)
    code = (
        "import sys, keras, numpy; folder = sys.argv[1]; "
        "model = keras.models.load_model(folder + '/shipped.keras'); "
        "found = model.predict(numpy.load(folder + '/images.npy'), verbose=0);"
        "assert 'keras_graft' not in sys.modules;"
        "numpy.save(folder + '/found.npy', found)"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path], check=True)
    np.testing.assert_allclose(
        np.load(tmp_path / "found.npy"), expected, atol=1e-6
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pooling": "max"}, "one of average, generalized_mean"),
        ({"num_identities": 1}, "from 2 on"),
        ({"embedding_size": 0}, "from 1 on, or None"),
        (
            {
                "backbone": keras.Sequential(
                    [keras.Input((3,)), layers.Dense(2)]
                )
            },
            "must end in a feature map",
        ),
    ],
)
def test_wrong_arguments_are_named(change, message):
    usual = {"backbone": small_backbone(), "num_identities": 4}
    with pytest.raises(ValueError, match=message):
        embedding_network(**usual | change)


def test_backbones_without_strides_or_size_have_no_last_one():
    inputs = keras.Input((8, 8, 1))
    plain = keras.Model(inputs, layers.Conv2D(2, 3)(inputs))
    with pytest.raises(ValueError, match="no layer with strides"):
        embedding_network(plain, 4, last_stride_1=True)
    anything = keras.Input((None, None, 1))
    free = keras.Model(anything, layers.Conv2D(2, 3, strides=2)(anything))
    with pytest.raises(ValueError, match="size of the images is known"):
        embedding_network(free, 4, last_stride_1=True)
