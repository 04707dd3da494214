"""Crop, flip and erasing: what a person would see in the images."""

import numpy as np
import tensorflow as tf

from keras_graft.data.order import seed_pair
from keras_graft.recognition.augmentation import erase
from keras_graft.recognition.augmentation import flip
from keras_graft.recognition.augmentation import pad_crop

HEIGHT, WIDTH = 32, 16
PLACES = np.arange(HEIGHT * WIDTH, dtype=np.uint16).reshape(HEIGHT, WIDTH, 1)
IMAGES = np.broadcast_to(PLACES + 1, (200, HEIGHT, WIDTH, 1))


def test_crops_are_windows_of_the_padded_image():
    found = pad_crop(tf.constant(IMAGES), 3, seed_pair(0)).numpy()
    padded = np.pad(IMAGES[0], [(3, 3), (3, 3), (0, 0)])
    windows = {
        padded[y : y + HEIGHT, x : x + WIDTH].tobytes(): (y, x)
        for y in range(7)
        for x in range(7)
    }
    offsets = [windows[image.tobytes()] for image in found]
    assert {y for y, _ in offsets} == {x for _, x in offsets} == set(range(7))


def test_one_image_in_two_is_mirrored():
    found = flip(tf.constant(IMAGES), seed_pair(1)).numpy()
    mirrored = (found == IMAGES[:, :, ::-1]).all((1, 2, 3))
    assert ((found == IMAGES).all((1, 2, 3)) ^ mirrored).all()
    assert 70 < mirrored.sum() < 130


def test_boxes_of_the_papers_sizes_are_erased():
    found = erase(tf.constant(IMAGES), 0.5, np.zeros(1), seed_pair(2)).numpy()
    erased = (found != IMAGES)[..., 0]
    changed = erased.any((1, 2))
    assert 70 < changed.sum() < 130
    areas, ratios, tops = [], [], []
    for box in erased[changed]:
        rows, columns = box.any(1), box.any(0)
        # A whole rectangle.
        assert box.sum() == rows.sum() * columns.sum()
        areas.append(box.mean())
        ratios.append(rows.sum() / columns.sum())
        tops.append(rows.argmax())
    # Sides are whole pixels.
    assert 0.01 < min(areas) < 0.08 and 0.3 < max(areas) < 0.45
    assert 0.2 < min(ratios) < 0.8 and 2.5 < max(ratios) < 4.5
    assert min(tops) == 0 and max(tops) > HEIGHT / 2
    assert (found[erased] == 0).all()
    everything = erase(tf.constant(IMAGES), 1.0, np.zeros(1), seed_pair(2))
    assert (everything.numpy() != IMAGES).any((1, 2, 3)).mean() > 0.98


def test_the_seed_alone_decides():
    images = tf.constant(IMAGES[:20])
    for change in (
        lambda seed: pad_crop(images, 3, seed),
        lambda seed: flip(images, seed),
        lambda seed: erase(images, 0.9, np.zeros(1), seed),
    ):
        first, again, other = (
            change(seed_pair(seed)).numpy() for seed in (4, 4, 5)
        )
        np.testing.assert_array_equal(first, again)
        assert (first != other).any()
