"""Images and labels of networks with habits of their own."""

import numpy as np
import pytest
import tensorflow as tf

from keras_graft.data import order
from keras_graft.data import pipeline
from keras_graft.data.augment import erase
from keras_graft.data.distinct import Habits
from keras_graft.data.distinct import habits_of
from keras_graft.data.splits import Split


def batch_of(habits, augment="none", **changes):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (16, 8, 8, 3)).astype(np.uint8)
    labels = (np.arange(16) % 4).astype(np.int32)
    arguments = {"num_classes": 4, "num_networks": len(habits)} | changes
    dataset = pipeline.training_batches(
        Split(images, labels),
        batch_size=16,
        seed=3,
        augment=augment,
        habits=habits,
        **arguments,
    )
    return next(dataset.as_numpy_iterator())


def test_boxes_of_noise_are_erased_in_a_share_of_the_images():
    images = tf.fill([400, 20, 20, 3], 300.0)
    seed = order.seed_pair(0, 1)
    found = erase(images, seed, 0.35).numpy()
    box = (found != 300.0).all(-1)
    hit = box.any((1, 2))
    assert hit.mean() == pytest.approx(0.35, abs=0.08)
    assert found.min() >= 0 and found[box].max() < 255
    share = box[hit].mean((1, 2))
    # Drawn from 0.02 to 0.33, then rounded to pixels.
    assert 0.01 < share.min() < 0.05 and 0.25 < share.max() < 0.4
    for image in box[hit]:
        rows, columns = image.any(1), image.any(0)
        assert image.sum() == rows.sum() * columns.sum()
        for line in (rows, columns):
            assert np.count_nonzero(np.diff(line.astype(int))) <= 2
    np.testing.assert_array_equal(found, erase(images, seed, 0.35))


def test_networks_that_teach_each_other_see_the_same_images():
    apart = habits_of("regularise", 5, same_images=False)
    assert [h.mixing for h in apart] == [None, "mixup", "cutmix", "mixup", None]
    together = habits_of("regularise", 4, same_images=True)
    assert {h.mixing for h in together} == {None}
    assert [h.erasing for h in together] == [h.erasing for h in apart[:4]]
    assert len({(h.smoothing, h.decay) for h in together}) > 2
    plain = habits_of("augment", 4, same_images=False)
    assert {(h.smoothing, h.decay) for h in plain} == {(0.0, 1.0)}
    assert habits_of("none", 2, same_images=True) == [Habits(), Habits()]


def test_each_network_gets_its_own_images_and_labels():
    habits = [
        Habits(),
        Habits("mixup"),
        Habits("cutmix"),
        Habits(smoothing=0.1),
    ]
    x, y = batch_of(habits)
    plain, mixed, cut, smooth = (y[f"network_{k}"] for k in range(4))
    assert x["network_0"].dtype == np.float32
    np.testing.assert_array_equal(x["network_0"], x["network_3"])
    assert set(plain.ravel()) == {0.0, 1.0}
    np.testing.assert_allclose(smooth, 0.9 * plain + 0.1 / 4, rtol=1e-6)
    for labels, key in ((mixed, "network_1"), (cut, "network_2")):
        assert np.any((labels > 0.05) & (labels < 0.95))
        np.testing.assert_allclose(labels.sum(1), 1, rtol=1e-5)
        assert np.any(x[key] != x["network_0"])


def test_erasing_leaves_labels_shared():
    x, y = batch_of([Habits(), Habits(erasing=1.0)], num_classes=None)
    assert y.dtype == np.int32
    changed = (x["network_0"] != x["network_1"]).any((1, 2, 3))
    assert changed.all()


@pytest.mark.parametrize(
    "habits, changes",
    [
        ([Habits()], {"num_networks": 2}),
        ([Habits("mixup")], {"augment": "cutmix"}),
        ([Habits(erasing=0.5)], {"augment": "trivial,erasing"}),
        ([Habits("mixup")], {"num_classes": None}),
    ],
)
def test_habits_that_cannot_be_had_are_refused(habits, changes):
    with pytest.raises(ValueError, match="habits"):
        batch_of(habits, **changes)
