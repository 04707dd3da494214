"""What `models.build` promises: sizes, seeds, names, files, refusals."""

import hashlib
import json
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from launching import run_python

from keras_graft import models

FAMILIES = ("resnet8", "mobilenetv2", "vgg16", "wrn28_10")


def count_trainable(network):
    return sum(weight.numpy().size for weight in network.trainable_weights)


def count_filters(network):
    return sum(
        layer.kernel.shape[2] * layer.kernel.shape[3]
        if isinstance(layer, keras.layers.DepthwiseConv2D)
        else layer.kernel.shape[3]
        for layer in network.layers
        if "Conv" in type(layer).__name__
    )


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("resnet20", "0.27"),
        ("resnet32", "0.46"),
        ("resnet44", "0.66"),
        ("resnet56", "0.85"),
        ("resnet110", "1.7"),
        ("densenet40_12", "1.0"),
        pytest.param("densenet100_12", "0.8", marks=pytest.mark.slow),
        pytest.param("densenet250_24", "15.3", marks=pytest.mark.slow),
        pytest.param("densenet190_40", "25.6", marks=pytest.mark.slow),
        ("resnext29_8x64", "34.4"),
        ("mobilenetv2", "2.297"),
        ("vgg16", "14.72"),
        ("wrn28_10", "36.5"),
    ],
)
def test_parameters_are_as_published(name, millions):
    decimals = len(millions.partition(".")[2])

    network = models.build(name, num_classes=10)

    assert f"{count_trainable(network) / 1e6:.{decimals}f}" == millions


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("resnet18", 11_689_512),
        pytest.param("resnet34", 21_797_672, marks=pytest.mark.slow),
        ("resnet50", 25_557_032),
    ],
)
def test_parameters_for_imagenet_are_those_of_torchvision(name, parameters):
    network = models.build(name, num_classes=1000, input_shape=(64, 64, 3))

    assert count_trainable(network) == parameters
    # A stem of stride 4 and three stages of stride 2.
    assert network.get_layer("pool").input.shape[1:3] == (2, 2)


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_networks_for_imagenet_take_images_of_a_single_pixel(name):
    network = models.build(name, 2, input_shape=(1, 1, 1), width=0.03)
    logits = network(np.full((3, 1, 1, 1), 200, "uint8"))
    assert logits.shape == (3, 2)
    assert np.isfinite(logits).all()


@pytest.mark.parametrize(
    ("name", "filters"),
    [("resnet32", 1136), ("resnet56", 2032), ("mobilenetv2", 17544)],
)
def test_filters_are_as_published(name, filters):
    assert count_filters(models.build(name, num_classes=10)) == filters


def test_mobilenetv2_has_17088_filters_without_its_four_shortcuts():
    network = models.build("mobilenetv2", num_classes=10)
    shortcuts = [
        layer.filters
        for layer in network.layers
        if layer.name.endswith("_shortcut")
    ]

    assert len(shortcuts) == 4
    assert count_filters(network) - sum(shortcuts) == 17088


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("shape", [(1, 1, 1), (8, 8, 1), (11, 6, 4)])
def test_any_image_shape_gives_finite_logits(name, shape):
    network = models.build(name, 2, input_shape=shape, width=0.03)

    logits = network(np.full((3, *shape), 200, "uint8"))

    assert logits.shape == (3, 2)
    assert np.isfinite(logits).all()


def test_width_scales_the_filters():
    half = models.build("resnet20", 10, width=0.5)

    assert half.get_layer("stem_conv").filters == 8
    assert half.get_layer("stage3_block1_conv1").filters == 32


def test_layers_have_readable_names():
    network = models.build("resnet14", 10, input_shape=(8, 8, 1))

    assert network.name == "resnet14"
    assert [layer.name for layer in network.layers[:7]] == [
        "pixels",
        "normalization",
        "stem_conv",
        "stem_conv_bn",
        "stem_relu",
        "stage1_block1_conv1",
        "stage1_block1_conv1_bn",
    ]


def fingerprint(name):
    network = models.build(name, 3, (8, 8, 1), width=0.05, seed=5)
    digest = hashlib.sha256()
    digest.update(" ".join(layer.name for layer in network.layers).encode())
    for weight in network.weights:
        digest.update(weight.path.encode())
        digest.update(weight.numpy().tobytes())
    return digest.hexdigest()


@pytest.mark.slow
def test_same_seed_gives_the_same_bits_and_names_in_a_fresh_process():
    code = f"""
import sys
sys.path.insert(0, {str(pathlib.Path(__file__).parent)!r})
import json
import test_models_build as here
print(json.dumps([here.fingerprint(name) for name in here.FAMILIES]))
"""
    keras.utils.set_random_seed(11)
    for name in FAMILIES:
        fingerprint(name)  # moves Keras' counters of unnamed layers

    fresh = json.loads(run_python(code).splitlines()[-1])

    assert [fingerprint(name) for name in FAMILIES] == fresh


@pytest.mark.parametrize("name", FAMILIES)
def test_seeds_and_layers_have_their_own_weights(name):
    networks = [
        models.build(name, 10, (8, 8, 3), width=0.1, seed=seed)
        for seed in (0, 1, -1)
    ]
    kernels = [
        weight.numpy().tobytes()
        for network in networks
        for weight in network.weights
        if weight.name == "kernel"
    ]

    assert len(kernels) == len(set(kernels))


def test_resnet_kernels_are_normal_with_their_tails():
    network = models.build("resnet8", 1000)
    for name, fan_in in [("stage3_block1_conv2", 9 * 64), ("logits", 64)]:
        kernel = network.get_layer(name).kernel.numpy()
        std = np.sqrt(2 / fan_in)

        np.testing.assert_allclose(kernel.std(), std, rtol=0.02)
        # A normal distribution has 4.55 % beyond two sigma; Keras' he_normal
        # would be cut there.
        beyond = np.mean(np.abs(kernel) > 2 * std)
        np.testing.assert_allclose(beyond, 0.0455, atol=0.005)


def test_mobilenetv2_kernels_start_like_pytorch_also_the_depthwise_ones():
    network = models.build("mobilenetv2", 10)
    for name, fan_in in [
        ("head_conv", 320),
        ("stage6_block2_depthwise", 9),
        ("logits", 1280),
    ]:
        kernel = network.get_layer(name).kernel.numpy()
        limit = 1 / np.sqrt(fan_in)

        assert np.abs(kernel).max() <= limit
        np.testing.assert_allclose(kernel.std(), limit / np.sqrt(3), rtol=0.02)


def test_pixel_statistics_are_in_pixel_units():
    plain = models.build("resnet8", 10, (8, 8, 2))
    given = models.build(
        "resnet8",
        10,
        (8, 8, 2),
        pixel_mean=np.array([100.0, 50.0]),
        pixel_std=(20, 40),
    )
    standard = np.random.default_rng(0).normal(size=(2, 8, 8, 2))

    np.testing.assert_allclose(
        given(standard * [20, 40] + [100, 50]),
        plain(standard * 127.5 + 127.5),
        rtol=1e-3,
        atol=1e-4,
    )


def test_batch_norm_moves_a_tenth_of_the_way_to_the_batch():
    network = models.build("resnet8", 10, (8, 8, 3), width=0.25)
    stem = keras.Model(network.input, network.get_layer("stem_conv").output)
    pixels = np.random.default_rng(0).integers(0, 256, (16, 8, 8, 3))
    batch = stem(pixels).numpy()

    network(pixels, training=True)

    norm = network.get_layer("stem_conv_bn")
    np.testing.assert_allclose(
        norm.moving_mean, 0.1 * batch.mean((0, 1, 2)), rtol=1e-4, atol=1e-6
    )
    np.testing.assert_allclose(
        norm.moving_variance, 0.9 + 0.1 * batch.var((0, 1, 2)), rtol=1e-4
    )


def test_replicas_share_their_batch_statistics(two_replicas):
    strategy = two_replicas
    with strategy.scope():
        network = models.build("resnet8", 10, (8, 8, 3), width=0.25)
        network.compile(
            optimizer=keras.optimizers.SGD(0.1),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (8, 8, 8, 3))

    network.fit(pixels, np.arange(8), batch_size=8, verbose=0)

    for weight in network.non_trainable_weights:
        first, second = strategy.experimental_local_results(weight.value)
        np.testing.assert_array_equal(first, second)


@pytest.fixture
def mixed_precision():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy(before)


def test_pixels_and_logits_stay_float32_in_mixed_precision(mixed_precision):
    network = models.build("resnet8", 10, (8, 8, 3))

    assert network.get_layer("stem_conv").compute_dtype == "bfloat16"
    assert network.get_layer("normalization").compute_dtype == "float32"
    assert network(np.zeros((1, 8, 8, 3), "uint8")).dtype == tf.float32


LOAD_WITH_PLAIN_KERAS = """
import pathlib
import sys
import keras
import numpy as np

folder = pathlib.Path(sys.argv[1])
pixels = np.load(folder / "pixels.npy")
for file in sorted(folder.glob("*.keras")):
    network = keras.saving.load_model(file, safe_mode=True)
    np.save(file.with_suffix(".npy"), network.predict(pixels, verbose=0))
if any(module.startswith("keras_graft") for module in sys.modules):
    raise SystemExit("keras_graft was imported")
"""


@pytest.mark.slow
def test_saved_networks_need_only_keras(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (4, 9, 8, 3), "uint8")
    np.save(tmp_path / "pixels.npy", pixels)
    expected = {}
    for name in (*FAMILIES, "resnet8_leaky"):
        network = models.build(name, 10, (9, 8, 3), width=0.1)
        network.save(tmp_path / f"{name}.keras")
        expected[name] = network.predict(pixels, verbose=0)

    run_python(LOAD_WITH_PLAIN_KERAS, tmp_path)

    for name, logits in expected.items():
        loaded = np.load(tmp_path / f"{name}.npy")
        np.testing.assert_allclose(loaded, logits, rtol=1e-5, atol=1e-6)
