"""Networks of `keras.applications` take raw pixels."""

import keras
import numpy as np
import pytest

from keras_graft.models import applications

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), "uint8")


@pytest.mark.parametrize(
    ("name", "module", "arguments"),
    [
        # Three kinds of preprocessing: -1 to 1, blue first, and none.
        ("MobileNet", "mobilenet", {"alpha": 0.25}),
        ("VGG16", "vgg16", {}),
        ("MobileNetV3Small", "mobilenet_v3", {"alpha": 0.75}),
    ],
)
def test_preprocessing_of_its_own_is_inside(name, module, arguments):
    network = applications.build(name, 3, (32, 32, 3), 0, arguments)
    preprocess = getattr(keras.applications, module).preprocess_input
    plain = getattr(keras.applications, name)(
        input_shape=(32, 32, 3),
        include_top=False,
        weights=None,
        pooling="avg",
        **arguments,
    )
    *weights, kernel, bias = network.get_weights()
    plain.set_weights(weights)

    features = plain(preprocess(IMAGES.astype("float32")))

    np.testing.assert_allclose(
        network(IMAGES), features @ kernel + bias, rtol=1e-4, atol=1e-12
    )


def test_preprocessing_outlives_the_file(tmp_path):
    network = applications.build("VGG16", 3, (32, 40, 3), 0, {})
    network.save(tmp_path / "saved.keras")
    loaded = keras.models.load_model(tmp_path / "saved.keras")
    images = IMAGES[:, :, :8].repeat(5, axis=2)
    np.testing.assert_array_equal(loaded(images), network(images))


def test_grey_images_are_refused():
    with pytest.raises(ValueError, match="three channels, and these have 1"):
        applications.build("VGG16", 3, (32, 32, 1), 0, {})
