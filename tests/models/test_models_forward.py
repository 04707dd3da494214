"""Networks against NumPy, written from PyTorch's definitions.

Images are [batch, channels, height, width] here, so that nothing of the layout
is shared with what is tested.
"""

import keras
import numpy as np
import pytest

from keras_graft import models

CIFAR_MEAN = np.array([0.4914, 0.4822, 0.4465])
CIFAR_STD = np.array([0.2023, 0.1994, 0.2010])

SIZES = [(8, 8), (9, 6)]


class Weights:
    """The layers of a network in NumPy, by name."""

    def __init__(self, network):
        self.network = network

    def __getitem__(self, name):
        weights = self.network.get_layer(name).get_weights()
        return [weight.astype("float64") for weight in weights]

    def conv(self, x, name, stride=1):
        (kernel,) = self[name]
        pad = kernel.shape[0] // 2
        x = np.pad(x, [(0, 0), (0, 0), (pad, pad), (pad, pad)])
        windows = np.lib.stride_tricks.sliding_window_view(
            x, kernel.shape[:2], axis=(2, 3)
        )[:, :, ::stride, ::stride]
        if "depthwise" in name:
            return np.einsum("nchwij,ijc->nchw", windows, kernel[..., 0])
        return np.einsum("nchwij,ijco->nohw", windows, kernel)

    def norm(self, x, name):
        gamma, beta, mean, variance = (
            weight[:, None, None] for weight in self[name]
        )
        return gamma * (x - mean) / np.sqrt(variance + 1e-5) + beta

    def conv_norm(self, x, name, stride=1):
        return self.norm(self.conv(x, name, stride), f"{name}_bn")

    def classify(self, x):
        kernel, bias = self["logits"]
        return x.mean((2, 3)) @ kernel + bias


def relu(x, slope=0.0):
    return np.where(x > 0, x, slope * x)


def resnet_logits(weights, x, blocks, slope):
    x = relu(weights.conv_norm(x, "stem_conv"), slope)
    for stage in (1, 2, 3):
        for block in range(1, blocks + 1):
            name = f"stage{stage}_block{block}"
            stride = 2 if stage > 1 and block == 1 else 1
            y = relu(weights.conv_norm(x, f"{name}_conv1", stride), slope)
            y = weights.conv_norm(y, f"{name}_conv2")
            if stride == 2:
                x = x[:, :, ::2, ::2]
                zeros = np.zeros_like(x[:, : x.shape[1] // 2])
                x = np.concatenate([zeros, x, zeros], axis=1)
            x = relu(x + y, slope)
    return weights.classify(x)


def wide_resnet_logits(weights, x):
    x = weights.conv(x, "stem_conv")
    for stage in (1, 2, 3):
        for block in (1, 2, 3, 4):
            name = f"stage{stage}_block{block}"
            stride = 2 if stage > 1 and block == 1 else 1
            y = relu(weights.norm(x, f"{name}_bn1"))
            if block == 1:
                x = weights.conv(y, f"{name}_shortcut", stride)
            y = weights.conv(y, f"{name}_conv1", stride)
            y = relu(weights.norm(y, f"{name}_bn2"))
            x = x + weights.conv(y, f"{name}_conv2")
    return weights.classify(relu(weights.norm(x, "head_bn")))


def mobilenetv2_logits(weights, x):
    x = relu(weights.conv_norm(x, "stem_conv"))
    blocks = [1, 2, 3, 4, 3, 3, 1]
    for stage in range(1, 8):
        for block in range(1, blocks[stage - 1] + 1):
            name = f"stage{stage}_block{block}"
            stride = 2 if stage in (3, 4, 6) and block == 1 else 1
            y = relu(weights.conv_norm(x, f"{name}_expand"))
            y = relu(weights.conv_norm(y, f"{name}_depthwise", stride))
            y = weights.conv_norm(y, f"{name}_project")
            if stride == 1 and x.shape[1] != y.shape[1]:
                x = weights.conv_norm(x, f"{name}_shortcut")
            x = x + y if stride == 1 else y
    return weights.classify(relu(weights.conv_norm(x, "head_conv")))


def vgg_logits(weights, x):
    for stage, convs in enumerate((2, 2, 3, 3, 3), start=1):
        for conv in range(1, convs + 1):
            x = relu(weights.conv_norm(x, f"stage{stage}_conv{conv}"))
        batch, channels, height, width = x.shape
        x = x.reshape(batch, channels, height // 2, 2, width // 2, 2)
        x = x.max((3, 5))
    return weights.classify(x)


def randomize(network):
    """Draws all that starts at 0 or 1, so that a forgotten term shows."""
    rng = np.random.default_rng(7)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            size = layer.gamma.shape
            # Some variances are near epsilon, which then matters.
            variance = 10 ** rng.uniform(-6, 0, size)
            layer.set_weights(
                [
                    rng.uniform(2, 4, size) * np.sqrt(variance),
                    rng.normal(0, 0.5, size),
                    rng.normal(0, 0.5, size) * np.sqrt(variance),
                    variance,
                ]
            )
    logits = network.get_layer("logits")
    logits.bias.assign(rng.normal(size=logits.bias.shape))


def assert_forward_equals(expected_logits, name, size, width, *arguments):
    network = models.build(name, 10, (*size, 3), width=width, seed=3)
    randomize(network)
    pixels = np.random.default_rng(1).integers(0, 256, (2, *size, 3), "uint8")
    images = (pixels / 255 - CIFAR_MEAN) / CIFAR_STD
    expected = expected_logits(
        Weights(network), images.transpose(0, 3, 1, 2), *arguments
    )

    logits = network.predict(pixels, verbose=0)

    assert logits.dtype == "float32"
    np.testing.assert_allclose(
        logits, expected, rtol=0, atol=1e-5 * np.abs(expected).max()
    )


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("name", "blocks", "slope"),
    [("resnet8", 1, 0.0), ("resnet8_leaky", 1, 0.01), ("resnet14", 2, 0.0)],
)
def test_resnet_equals_numpy(name, blocks, slope, size):
    assert_forward_equals(resnet_logits, name, size, 0.25, blocks, slope)


@pytest.mark.parametrize("size", SIZES)
def test_wide_resnet_equals_numpy(size):
    assert_forward_equals(wide_resnet_logits, "wrn28_10", size, 0.05)


@pytest.mark.parametrize("size", SIZES)
def test_mobilenetv2_equals_numpy(size):
    assert_forward_equals(mobilenetv2_logits, "mobilenetv2", size, 0.2)


def test_vgg_equals_numpy():
    assert_forward_equals(vgg_logits, "vgg16", (32, 64), 0.05)
