import numpy as np
import pytest
import tensorflow as tf

from keras_graft.data import order
from keras_graft.data.trivial import OPERATIONS
from keras_graft.data.trivial import draw_trivial
from keras_graft.data.trivial import trivial

SEED = order.seed_pair(0)


def noise(count=4, height=12, width=16, channels=3, low=0, high=256):
    rng = np.random.default_rng(0)
    shape = (count, height, width, channels)
    return rng.integers(low, high, shape).astype(np.float32)


def operate(name, images, magnitude, sign=1.0):
    per_image = np.ones((len(images), 1, 1, 1), np.float32)
    operation = OPERATIONS[name]
    return operation(
        tf.constant(images),
        tf.constant(np.float32(magnitude) * per_image),
        tf.constant(sign * per_image),
    ).numpy()


def test_all_operations_magnitudes_and_signs_are_drawn_evenly():
    choices, magnitudes, signs = draw_trivial(6000, SEED)
    counts = np.bincount(choices)
    assert len(counts) == len(OPERATIONS) == 14
    assert abs(counts - 6000 / 14).max() < 80
    assert magnitudes.shape == signs.shape == (6000, 1, 1, 1)
    levels = np.bincount(np.round(30 * magnitudes.numpy().ravel()).astype(int))
    assert len(levels) == 31 and abs(levels - 6000 / 31).max() < 60
    assert magnitudes.numpy().min() == 0 and magnitudes.numpy().max() == 1
    assert set(signs.numpy().ravel()) == {-1.0, 1.0}
    assert abs(signs.numpy().mean()) < 0.05


def test_each_image_gets_the_operation_that_was_drawn_for_it():
    images = noise(10)
    result = trivial(tf.constant(images), SEED).numpy()
    drawn = [t.numpy() for t in draw_trivial(10, SEED)]
    names = list(OPERATIONS)
    assert len(set(drawn[0])) > 4
    for k, (choice, magnitude, sign) in enumerate(zip(*drawn, strict=True)):
        alone = operate(
            names[choice], images[k : k + 1], magnitude.item(), sign.item()
        )
        np.testing.assert_allclose(result[k], alone[0], atol=1e-3)
    again = trivial(tf.constant(images), SEED).numpy()
    np.testing.assert_array_equal(result, again)
    other = trivial(tf.constant(images), order.seed_pair(1)).numpy()
    assert (result != other).any()


@pytest.mark.parametrize("shape", [(1, 8, 9, 1), (3, 1, 1, 3)])
def test_few_small_and_grey_images_are_taken(shape):
    result = trivial(tf.constant(noise(*shape)), SEED).numpy()
    assert result.shape == shape and result.dtype == np.float32
    assert result.min() >= 0 and result.max() <= 255


def test_colors_go_to_the_ends_of_the_wide_space():
    images = noise()
    grey = (images @ np.float32([0.2989, 0.587, 0.114]))[..., None]
    means = images.mean((1, 2), keepdims=True)
    for sign in (-1.0, 1.0):
        factor = 1 + 0.99 * 0.5 * sign
        expected = {
            # Positive: color is taken away.
            "color": images + (1 - factor) * (images - grey),
            "contrast": means + factor * (images - means),
            "brightness": factor * images,
        }
        for name, pixels in expected.items():
            np.testing.assert_allclose(
                operate(name, images, 0.5, sign),
                np.clip(pixels, 0, 255),
                atol=0.05,
            )


def test_sharpness_blends_with_the_mean_around_each_pixel():
    images = noise(low=90, high=120)
    padded = np.pad(images, [(0, 0), (1, 1), (1, 1), (0, 0)], "symmetric")
    blurred = sum(
        padded[:, y : y + 12, x : x + 16] * (5 if x == y == 1 else 1)
        for y in range(3)
        for x in range(3)
    )
    blurred /= 13
    for sign in (-1.0, 1.0):
        np.testing.assert_allclose(
            operate("sharpness", images, 1.0, sign),
            blurred + (1 + 0.99 * sign) * (images - blurred),
            atol=0.01,
        )


def test_solarization_and_posterization_begin_with_the_image_itself():
    images = noise()
    whole = images.astype(int)
    for magnitude, threshold, bits in ((0, 256, 8), (0.5, 128, 5), (1, 0, 2)):
        np.testing.assert_array_equal(
            operate("solarize", images, magnitude),
            np.where(whole < threshold, whole, 255 - whole),
        )
        step = 2 ** (8 - bits)
        np.testing.assert_array_equal(
            operate("posterize", images, magnitude), whole // step * step
        )


def test_images_are_turned_around_their_center():
    # What is seen at (x, y) of the result, within the image's circle.
    side, degrees = 33, 0.2 * 135
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    ramp = np.stack([x, y], -1)[None].astype(np.float32) + 100
    ramp = np.concatenate([ramp, ramp[..., :1]], -1)
    inside = x**2 + y**2 < (side / 2 - 2) ** 2
    for sign in (-1.0, 1.0):
        result = operate("rotate", ramp, 0.2, sign)[0]
        angle = np.radians(sign * degrees)
        expected = {
            0: np.cos(angle) * x - np.sin(angle) * y + 100,
            1: np.sin(angle) * x + np.cos(angle) * y + 100,
        }
        for channel, values in expected.items():
            np.testing.assert_allclose(
                result[inside][:, channel], values[inside], atol=0.01
            )


def test_translation_is_by_32_pixels_at_most_and_by_the_image_at_most():
    wide = np.zeros((1, 8, 100, 1), np.float32)
    wide[0, :, :, 0] = np.arange(100)
    moved = operate("translate_x", wide, 1.0) - wide
    assert abs(abs(moved[0, 4, 50, 0]) - 32) < 1e-3
    tall = wide.transpose(0, 2, 1, 3)
    shifted = operate("translate_x", tall, 1.0)
    np.testing.assert_allclose(shifted, tall, atol=1e-3)


@pytest.mark.parametrize("axis", ["x", "y"])
def test_shear_is_by_99_percent_at_most(axis):
    ramp = np.zeros((1, 16, 16, 1), np.float32)
    ramp[:] = np.arange(16)[:, None]
    if axis == "y":
        ramp = ramp.transpose(0, 2, 1, 3)
    moved = (operate(f"shear_{axis}", ramp, 1.0) - ramp)[0, 4, 4, 0]
    assert abs(abs(moved) - 0.99 * 4) < 0.01
