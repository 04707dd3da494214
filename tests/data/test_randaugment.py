import numpy as np
import pytest
import tensorflow as tf

from keras_graft.data import augment
from keras_graft.data import order
from keras_graft.data.randaugment import OPERATIONS
from keras_graft.data.randaugment import randaugment

SEED = order.seed_pair(0)


def noise(count=16, side=32, channels=3, low=0, high=256):
    rng = np.random.default_rng(0)
    shape = (count, side, side, channels)
    return rng.integers(low, high, shape).astype(np.float32)


def operate(name, images):
    return OPERATIONS[name](tf.constant(images), SEED).numpy()


def test_each_image_is_changed_in_its_own_way():
    image = noise(1)
    result = randaugment(tf.repeat(image, 64, axis=0), SEED).numpy()
    assert result.shape == (64, 32, 32, 3)
    assert result.dtype == np.float32
    assert np.isfinite(result).all()
    assert (result.min(), result.max()) == (0, 255)
    assert len({picture.tobytes() for picture in result}) > 55


@pytest.mark.parametrize("count, side, channels", [(1, 8, 1), (3, 16, 3)])
def test_few_small_and_grey_images_are_taken(count, side, channels):
    images = tf.constant(noise(count, side, channels))
    result = randaugment(images, SEED)
    assert result.shape == images.shape
    assert np.isfinite(result).all()


def test_grey_images_do_not_stand_in_the_way_of_colored_ones():
    # As in a process that has just begun.
    augment.float32_layer.cache_clear()
    for channels in (1, 3):
        images = tf.constant(noise(5, 9, channels))
        assert randaugment(images, SEED).shape == images.shape


def test_three_times_one_of_ten_operations_or_none_is_chosen():
    # Columns of 100 and of 150 are left as they are by four of the eleven:
    # nothing, color, shear and translation along the columns.
    half = np.full((2000, 16, 16, 3), 100, np.float32)
    half[:, :, 8:] = 150
    result = randaugment(tf.constant(half), SEED).numpy()
    left = (np.abs(result - half) < 1.5).all((1, 2, 3)).mean()
    # 0.048, and some draws of contrast that are too small to tell.
    assert (4 / 11) ** 3 - 0.015 < left < (4 / 11) ** 3 + 0.025
    # Autocontrast and equalization make black and white of it.
    stretched = np.where(half == 100, 0, 255)
    assert (result == stretched).all((1, 2, 3)).any()


def test_ten_operations_and_none_are_all_there():
    images = noise(low=60, high=180)
    changing = {
        name
        for name in OPERATIONS
        if (operate(name, images) != images).any((1, 2, 3)).all()
    }
    assert len(OPERATIONS) == 11
    assert changing == OPERATIONS.keys() - {"identity"}


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_an_image_is_changed_as_if_it_were_alone(name):
    images = noise(3, low=60, high=180)
    others = images.copy()
    others[1:] = noise(2, low=0, high=90)
    np.testing.assert_array_equal(
        operate(name, images)[0], operate(name, others)[0]
    )


def test_auto_contrast_stretches_each_channel_to_the_whole_range():
    images = noise(low=60, high=180)
    # A channel of one value has nothing to stretch.
    images[0, :, :, 0] = 77
    expected = images.copy()
    for image in expected:
        for channel in range(3):
            values = image[:, :, channel]
            if np.ptp(values):
                image[:, :, channel] = (
                    255 * (values - values.min()) / np.ptp(values)
                )
    np.testing.assert_allclose(
        operate("auto_contrast", images), expected, atol=1e-3
    )


def test_equalization_makes_ranks_of_values_in_each_channel_of_each_image():
    images = noise(low=60, high=180)
    images[0, :, :, 0] = 77
    expected = images.copy()
    for image in expected:
        for channel in range(3):
            values = image[:, :, channel]
            below = (values[:, :, None, None] >= values).sum((2, 3))
            if np.ptp(values):
                ranks = (below - below.min()) / (below.max() - below.min())
                image[:, :, channel] = np.round(255 * ranks)
    np.testing.assert_array_equal(operate("equalize", images), expected)


def test_brightness_adds_at_most_half_of_white():
    # What was drawn is seen where nothing is cut off; it is a function of
    # the seed and of the number of images.
    added = operate("brightness", np.full((64, 4, 4, 3), 127.5, np.float32))
    added = added[:, :1, :1, :1] - 127.5
    assert -127.5 <= added.min() < -100 and 100 < added.max() <= 127.5
    images = noise(64)
    np.testing.assert_allclose(
        operate("brightness", images),
        np.clip(images + added, 0, 255),
        atol=1e-4,
    )


def test_contrast_scales_the_distance_from_the_mean_by_a_half_to_three():
    # Values 127 and 129: one beside the mean, so that none is cut off.
    probe = np.full((64, 4, 4, 3), 127, np.float32)
    probe[:, 2:] = 129
    factors = operate("contrast", probe)[:, 2:3, :1, :1] - 128
    assert 0.5 <= factors.min() < 0.6 and 1.4 < factors.max() <= 1.5
    images = noise(64)
    means = images.mean((1, 2), keepdims=True)
    np.testing.assert_allclose(
        operate("contrast", images),
        np.clip((images - means) * factors + means, 0, 255),
        atol=1e-2,
    )


def test_color_is_blended_with_grey():
    red = np.zeros((64, 4, 4, 3), np.float32)
    red[..., 0] = 100
    # Green is 0 in red, and 29.89 where all color is gone.
    factors = operate("color", red)[:, :1, :1, 1:2] / 29.89
    assert 0 <= factors.min() < 0.3 and 0.7 < factors.max() <= 1
    assert 0.4 < factors.mean() < 0.6
    images = noise(64)
    grey = (images @ np.float32([0.2989, 0.587, 0.114]))[..., None]
    np.testing.assert_allclose(
        operate("color", images), images + factors * (grey - images), atol=1e-2
    )


def test_solarization_adds_and_inverts_what_is_bright():
    # All values once, so that the drawn amounts can be read off. Less than
    # half of white is added to the first, which may be inverted then.
    ramp = np.arange(256, dtype=np.float32).reshape(1, 16, 16, 1)
    result = operate("solarize", np.repeat(ramp, 64, axis=0))
    result = result.reshape(64, 256)
    added = np.minimum(result, 255 - result)[:, :1]
    dark = np.arange(256) + added
    inverted = 255 - np.clip(dark, 0, 255)
    chosen = np.isclose(result, inverted, atol=1e-3)
    assert (chosen | np.isclose(result, dark, atol=1e-3)).all()
    assert (np.diff(chosen.astype(int)) >= 0).all()
    thresholds = np.argmax(chosen, axis=1) + added[:, 0]
    assert 0 < added.min() < 40 and 70 < added.max() <= 110
    assert thresholds.min() < 80 and thresholds.max() > 170
    assert abs(thresholds.mean() - 127.5) < 20


def reflect(positions, size):
    """Index of the pixel that is seen there: d c b a | a b c d | d c b a."""
    positions = np.mod(positions, 2 * size)
    return np.where(positions < size, positions, 2 * size - 1 - positions)


def sample(line, positions):
    """Values between the pixels of a line, reflected at its ends."""
    left = np.floor(positions).astype(int)
    share = (positions - left)[:, None]
    size = len(line)
    return (
        line[reflect(left, size)] * (1 - share)
        + line[reflect(left + 1, size)] * share
    )


def lines_along(axis, images):
    """Images whose rows are what is moved, and the way back."""
    return images if axis == "x" else images.swapaxes(1, 2)


def displacements(name, axis):
    """How far each pixel of 64 images was moved, read off ramps."""
    ramp = np.zeros((64, 24, 32, 3), np.float32)
    rows = lines_along(axis, ramp)
    rows[:] = np.arange(rows.shape[2])[:, None]
    return lines_along(axis, operate(name, ramp) - ramp)[..., 0]


@pytest.mark.parametrize("axis, size", [("x", 32), ("y", 24)])
def test_translation_moves_by_up_to_half_of_the_image(axis, size):
    moved = displacements(f"translate_{axis}", axis)
    # From one of the two pixels in the middle no border is seen.
    left, right = moved[:, 0, size // 2 - 1], moved[:, 0, size // 2]
    amounts = np.where(left > 0, left, right)
    half = size / 2
    assert -half <= amounts.min() < -0.93 * half
    assert 0.93 * half < amounts.max() <= half
    assert_moved(f"translate_{axis}", axis, amounts[:, None] + np.zeros(32))


@pytest.mark.parametrize("axis", ["x", "y"])
def test_shear_moves_each_line_by_its_distance_from_the_first(axis):
    moved = displacements(f"shear_{axis}", axis)
    slopes = moved[:, 8, 12] / 8
    assert 0.7 < np.abs(slopes).max() <= 1
    assert 0.4 < np.abs(slopes).mean() < 0.6
    assert 0.3 < (slopes > 0).mean() < 0.7
    assert_moved(f"shear_{axis}", axis, slopes[:, None] * np.arange(32))


def assert_moved(name, axis, amounts):
    """Holds noise against lines that are moved by amounts, [64, line]."""
    images = noise(64)[:, :24]
    expected = lines_along(axis, images).copy()
    positions = np.arange(expected.shape[2])
    for image, moves in zip(expected, amounts):
        for row, move in zip(range(len(image)), moves):
            image[row] = sample(image[row], positions + move)
    np.testing.assert_allclose(
        lines_along(axis, operate(name, images)), expected, atol=0.1
    )
