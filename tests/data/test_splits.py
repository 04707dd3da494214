import numpy as np
import pytest

from keras_graft.data import digits
from keras_graft.data import splits
from keras_graft.data.splits import Split
from keras_graft.data.splits import Splits


def rows(split):
    return {image.tobytes() for image in split.images}


def test_digits_are_the_images_of_scikit_learn_at_full_brightness():
    from sklearn.datasets import load_digits

    train, test = digits.read(None)
    source = load_digits()
    assert train.images.shape == (1442, 8, 8, 1)
    assert test.images.shape == (355, 8, 8, 1)
    assert train.images.max() == 255
    # Every fifth image of a class, counted in a plain loop.
    seen = [0] * 10
    test_images, test_labels = [], []
    for image, label in zip(source.images, source.target):
        seen[label] += 1
        if seen[label] % 5 == 0:
            test_images.append(np.rint(image / 16 * 255))
            test_labels.append(label)
    np.testing.assert_array_equal(test.images[..., 0], test_images)
    np.testing.assert_array_equal(test.labels, test_labels)


def test_pixel_statistics_of_digits_are_those_of_the_training_images():
    train, _ = digits.read(None)
    assert digits.PIXEL_MEAN == pytest.approx((train.images.mean(),), abs=1e-3)
    assert digits.PIXEL_STD == pytest.approx((train.images.std(),), abs=1e-3)


def test_test_split_does_not_depend_on_seed_or_size():
    one = splits.load("digits", seed=0)
    other = splits.load("digits", seed=7, train_examples=200)
    np.testing.assert_array_equal(one.test.images, other.test.images)
    np.testing.assert_array_equal(one.test.labels, other.test.labels)


def test_validation_is_cut_from_the_training_images():
    train, test = digits.read(None)
    cut = splits.load("digits", validation_fraction=0.1)
    assert (len(cut.train), len(cut.validation)) == (1298, 144)
    assert rows(cut.train) | rows(cut.validation) == rows(train)
    assert not rows(cut.validation) & rows(test)
    counts = np.bincount(cut.validation.labels)
    shares = np.bincount(train.labels) * 144 / 1442
    assert (np.abs(counts - shares) < 1).all()


def test_without_a_fraction_there_is_no_validation_split():
    loaded = splits.load("digits", validation_fraction=0)
    assert loaded.validation is None
    assert len(loaded.train) == 1442


def test_train_examples_are_drawn_before_the_validation_cut():
    loaded = splits.load("digits", train_examples=200, validation_fraction=0.2)
    assert (len(loaded.train), len(loaded.validation)) == (160, 40)
    everything = np.concatenate([loaded.train.labels, loaded.validation.labels])
    np.testing.assert_array_equal(np.bincount(everything), [20] * 10)
    np.testing.assert_array_equal(
        np.bincount(loaded.validation.labels), [4] * 10
    )


def test_the_draws_depend_on_the_seed_and_on_nothing_else():
    def images(seed):
        loaded = splits.load("digits", train_examples=100, seed=seed)
        return loaded.train.images.tobytes(), loaded.validation.images.tobytes()

    first = images(3)
    np.random.seed(1)
    assert images(3) == first
    assert images(4) != first


def test_last_places_go_to_random_classes():
    labels = np.repeat(np.arange(4), 10)
    counts = np.zeros(4, dtype=int)
    for seed in range(200):
        drawn = splits.stratified_draw(labels, 6, np.random.default_rng(seed))
        count = np.bincount(labels[drawn], minlength=4)
        assert sorted(count) == [1, 1, 2, 2]
        counts += count
    # 300 each, were the draw perfectly even.
    assert counts.min() > 270


def test_shares_follow_unequal_classes():
    labels = np.array([0] * 60 + [1] * 30 + [2] * 10)
    drawn = splits.stratified_draw(labels, 20, np.random.default_rng(0))
    np.testing.assert_array_equal(np.bincount(labels[drawn]), [12, 6, 2])
    assert len(set(drawn)) == 20


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"name": "cifar"}, "Unknown dataset 'cifar'. Did you mean 'cifar10'?"),
        ({"name": "mnist"}, "Known: digits, cifar10, cifar10_16, cifar100"),
        ({"validation_fraction": 1.0}, r"\[0, 1\).*=1.0"),
        ({"validation_fraction": -0.1}, r"\[0, 1\).*=-0.1"),
        ({"validation_fraction": float("nan")}, r"\[0, 1\).*=nan"),
        ({"validation_fraction": 0.0001}, "is 0 images, which leaves a split"),
        ({"validation_fraction": 0.9999}, "1442 images, which leaves a split"),
        ({"train_examples": 1443}, "from 10, .* to 1442, .*=1443"),
        ({"train_examples": 9}, "from 10, .* to 1442, .*=9"),
        ({"train_examples": 0}, "from 10, .* to 1442, .*=0"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        splits.load(**{"name": "digits", **arguments})


def some(count=4, labels=None):
    labels = np.arange(count) if labels is None else labels
    return Split(
        np.zeros((count, 2, 2, 1), np.uint8), np.asarray(labels, np.int32)
    )


@pytest.mark.parametrize(
    "images, labels, message",
    [
        (
            np.zeros((2, 4, 4), np.uint8),
            np.zeros(2, np.int32),
            "uint8 of shape",
        ),
        (np.zeros((2, 4, 4, 1)), np.zeros(2, np.int32), "float64 of shape"),
        (np.zeros((2, 4, 4, 1), np.uint8), np.zeros(2), "int32. .*float64"),
        (
            np.zeros((2, 4, 4, 1), np.uint8),
            np.zeros(3, np.int32),
            r"2 images, labels of shape \(3,\)",
        ),
    ],
)
def test_a_split_refuses_arrays_that_do_not_fit(images, labels, message):
    with pytest.raises(ValueError, match=message):
        Split(images, labels)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"train": some(0)}, "train split of toy is empty"),
        ({"validation": some(0)}, "validation split of toy is empty"),
        ({"test": some(1, [4])}, "test split of toy .* 0 to 3. .* 4 to 4"),
        ({"train": some(1, [-1])}, "train split of toy .* from -1 to -1"),
    ],
)
def test_splits_refuse_no_images_and_labels_without_a_class(changes, message):
    arguments = {
        "name": "toy",
        "train": some(),
        "validation": None,
        "test": some(),
        "num_classes": 4,
        "pixel_mean": (0.0,),
        "pixel_std": (1.0,),
    }
    Splits(**arguments)
    with pytest.raises(ValueError, match=message):
        Splits(**arguments | changes)
