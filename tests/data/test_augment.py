import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_graft.data import augment
from keras_graft.data import order
from keras_graft.data.augmix import augmix
from keras_graft.data.randaugment import randaugment
from keras_graft.data.trivial import trivial

SEED = order.seed_pair(0)
OTHER = order.seed_pair(1)


def noise(count=16, side=32, channels=3):
    rng = np.random.default_rng(0)
    shape = (count, side, side, channels)
    return rng.integers(0, 256, shape).astype(np.uint8)


def crop_flip_loop(images, tops, lefts, flips):
    """What `crop_flip` does, pixel by pixel."""
    count, height, width, _ = images.shape
    pad_y, pad_x = height // 8, width // 8
    result = np.zeros_like(images)
    for b in range(count):
        for y in range(height):
            for x in range(width):
                source_y = y + tops[b] - pad_y
                source_x = (width - 1 - x if flips[b] else x) + lefts[b] - pad_x
                if 0 <= source_y < height and 0 <= source_x < width:
                    result[b, y, x] = images[b, source_y, source_x]
    return result


@pytest.mark.parametrize("shape", [(32, 32, 3), (8, 8, 1), (16, 24, 2)])
def test_pad_crop_flip_equals_a_loop_over_pixels(shape):
    rng = np.random.default_rng(0)
    images = rng.integers(1, 256, (16, *shape)).astype(np.uint8)
    drawn = augment.draw_crop_flip(16, images.shape, SEED)
    tops, lefts, flips = (values.numpy() for values in drawn)
    result = augment.pad_crop_flip(tf.constant(images), SEED)
    assert result.dtype == tf.uint8
    np.testing.assert_array_equal(
        result, crop_flip_loop(images, tops, lefts, flips)
    )
    assert len(set(zip(tops, lefts, flips))) > 4


def test_crops_reach_every_offset_and_flip_every_second_image():
    drawn = augment.draw_crop_flip(4000, (4000, 32, 32, 3), SEED)
    tops, lefts, flips = (values.numpy() for values in drawn)
    # 444 each, were the draw perfectly even.
    for offsets in (tops, lefts):
        counts = np.bincount(offsets)
        assert len(counts) == 9
        assert counts.min() > 370
    assert 0.47 < flips.mean() < 0.53
    assert abs(np.corrcoef(tops, lefts)[0, 1]) < 0.05
    assert abs(np.corrcoef(tops, flips)[0, 1]) < 0.05


def flat_images(count):
    """Image k has the value k everywhere, and label k."""
    values = np.arange(count, dtype=np.float32)[:, None, None, None]
    return (
        tf.constant(np.broadcast_to(values, (count, 32, 32, 3))),
        tf.eye(count),
    )


def test_mixup_weighs_labels_as_it_weighs_pixels():
    images, labels = augment.mixup(*flat_images(64), SEED)
    images, labels = images.numpy(), labels.numpy()
    np.testing.assert_allclose(labels.sum(1), 1, atol=1e-6)
    mixed = labels @ np.arange(64)
    np.testing.assert_allclose(
        images,
        np.broadcast_to(mixed[:, None, None, None], images.shape),
        atol=1e-4,
    )
    own = np.diag(labels)
    # Uniform in [0, 1]: a mean of 1/2 and a deviation of 0.29.
    assert 0.4 < own.mean() < 0.6
    assert 0.2 < own.std() < 0.4


def test_cutmix_weighs_labels_by_the_area_that_is_seen():
    images, labels = augment.cutmix(*flat_images(64), SEED)
    images, labels = images.numpy(), labels.numpy()
    assert (images == images[..., :1]).all()
    areas = np.array(
        [[(image[..., 0] == k).mean() for k in range(64)] for image in images]
    )
    np.testing.assert_allclose(labels, areas, atol=1e-6)
    assert 0.35 < np.diag(areas).mean() < 0.65


def test_cutmix_pastes_one_box_anywhere():
    images, _ = augment.cutmix(*flat_images(256), SEED)
    pasted = images.numpy()[..., 0] != np.arange(256)[:, None, None]
    centers = []
    for mask in pasted[pasted.any((1, 2))]:
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        assert mask[np.ix_(rows, columns)].all()
        assert mask.sum() == len(rows) * len(columns)
        assert (np.ptp(rows), np.ptp(columns)) == (
            len(rows) - 1,
            len(columns) - 1,
        )
        if len(rows) < 16:
            centers.append((rows.mean(), columns.mean()))
    # One seed for both sides would put all boxes on the diagonal.
    assert abs(np.corrcoef(np.transpose(centers))[0, 1]) < 0.5


ALL = {
    "standard": lambda images, labels, seed: (
        augment.pad_crop_flip(images, seed),
        labels,
    ),
    "randaugment": lambda images, labels, seed: (
        randaugment(images, seed),
        labels,
    ),
    "trivial": lambda images, labels, seed: (trivial(images, seed), labels),
    "augmix": lambda images, labels, seed: (augmix(images, seed), labels),
    "cutmix": augment.cutmix,
    "mixup": augment.mixup,
}


@pytest.mark.parametrize("name", sorted(ALL))
def test_augmentation_is_a_function_of_images_and_seed(name):
    images = tf.constant(noise(), tf.float32)
    labels = tf.one_hot(tf.range(16) % 10, 10)
    first = ALL[name](images, labels, SEED)
    keras.utils.set_random_seed(5)
    other = ALL[name](images, labels, OTHER)
    again = ALL[name](images, labels, SEED)
    for one, two in zip(first, again):
        np.testing.assert_array_equal(one, two)
    assert (first[0].numpy() != other[0].numpy()).any()


@pytest.mark.parametrize(
    "name", ["randaugment", "trivial", "augmix", "cutmix", "mixup"]
)
def test_pixels_and_labels_stay_float32_under_mixed_precision(name):
    policy = keras.config.dtype_policy()
    images = tf.constant(noise(), tf.float32)
    labels = tf.one_hot(tf.range(16) % 10, 10)
    expected = ALL[name](images, labels, SEED)
    keras.config.set_dtype_policy("mixed_bfloat16")
    # As in a process that begins under this policy: neither the layers nor
    # a graph of them is there.
    augment.float32_layer.cache_clear()
    tf.config.run_functions_eagerly(True)
    try:
        result = ALL[name](images, labels, SEED)
    finally:
        tf.config.run_functions_eagerly(False)
        keras.config.set_dtype_policy(policy)
    for one, two in zip(result, expected):
        assert one.dtype == tf.float32
        np.testing.assert_array_equal(one, two)


def test_a_part_of_the_whole_area_is_the_image_or_its_mirror():
    images = noise(side=10)
    # Area, proportions, left, top, mirrored.
    draws = np.tile([1.0, 0.5, 0.2, 0.7, 0.9], (16, 1)).astype("float32")
    draws[8:, 4] = 0.1
    result = augment.resized_crop(tf.constant(images), tf.constant(draws))
    np.testing.assert_array_equal(result[:8], images[:8])
    np.testing.assert_array_equal(result[8:], images[8:, :, ::-1])


def test_a_part_is_where_it_was_drawn():
    # A ramp from left to right and one from top to bottom.
    ramp = np.tile(np.arange(0, 255, 8, dtype=np.uint8), (1, 32, 1))
    images = np.stack([ramp, ramp.transpose(0, 2, 1)], axis=-1)
    quarter = (0.25 - 0.08) / 0.92
    draws = np.array([[quarter, 0.5, 1.0, 0.0, 0.9]], "float32")
    result = augment.resized_crop(tf.constant(images), tf.constant(draws))
    found = result.numpy()[0].astype(int)
    # The right half of the upper half.
    assert abs(found[..., 0].min() - 124) <= 1 and found[..., 0].max() == 248
    assert found[..., 1].min() == 0 and abs(found[..., 1].max() - 124) <= 1
