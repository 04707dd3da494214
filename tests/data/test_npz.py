"""Arrays of one's own from a file."""

import os
import re

import numpy as np
import pytest

from keras_graft import data


def images(count, channels=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, 6, 5, channels), dtype=np.uint8)


@pytest.fixture
def load(tmp_path):
    """Saves arrays and loads them as a dataset."""

    def save_and_load(changes=None, /, **arrays):
        np.savez(tmp_path / "my arrays.npz", **arrays)
        path = f"npz:{tmp_path / 'my arrays.npz'}"
        return data.load(path, **changes or {})

    return save_and_load


def test_splits_of_a_file_are_kept(load):
    x, y = images(30), np.arange(30) % 3
    splits = load(
        x_train=x[:12],
        y_train=y[:12],
        x_val=x[12:18],
        y_val=y[12:18, np.newaxis],
        x_test=x[18:],
        y_test=y[18:],
    )
    np.testing.assert_array_equal(splits.train.images, x[:12])
    np.testing.assert_array_equal(splits.validation.labels, y[12:18])
    np.testing.assert_array_equal(splits.test.images, x[18:])
    assert (splits.num_classes, splits.class_names) == (3, None)
    np.testing.assert_allclose(splits.pixel_mean, x[:12].mean((0, 1, 2)))
    np.testing.assert_allclose(splits.pixel_std, x[:12].std((0, 1, 2)))


def test_splits_that_are_missing_are_drawn(load):
    names = np.array(["bee", "ant", "cow"])
    splits = load(
        {"seed": 1}, x=images(40, 1)[..., 0], y=names[np.arange(40) % 3]
    )
    assert splits.class_names == ("ant", "bee", "cow")
    assert splits.train.images.shape[1:] == (6, 5, 1)
    sizes = [len(getattr(splits, s)) for s in ("train", "validation", "test")]
    assert sizes == [29, 3, 8]
    assert "20% of each class" in splits.notes[0]


def test_class_names_may_be_given(load):
    splits = load(
        x=images(30), y=np.arange(30) % 2, class_names=np.array(["no", "yes"])
    )
    assert splits.class_names == ("no", "yes")


X, Y = images(20), np.arange(20) % 2


@pytest.mark.parametrize(
    "arrays, message",
    [
        ({"images": X}, "either x_train or x, .* It holds images"),
        ({"x_test": X, "y_test": Y}, "either x_train or x"),
        ({"x": X}, "holds x, but no y. Save images as uint8"),
        ({"y": Y}, "holds y, but no x"),
        ({"x": X / 255, "y": Y}, "x of float64 and shape .*numpy.rint"),
        ({"x": X[:, 0, 0], "y": Y}, "of uint8 and shape \\(20, 3\\)"),
        ({"x": X, "y": Y[:9]}, "shape \\(9,\\) beside 20 images"),
        ({"x": X, "y": Y / 2}, "y of float64"),
        ({"x": X, "y": np.eye(2, dtype=int)[Y]}, "one whole number from 0"),
        ({"x": X, "y": Y - 1}, "classes from -1 to 0"),
        ({"x": X, "y": 0 * Y}, "has one class"),
        ({"x": X[:0], "y": Y[:0]}, "no image"),
        ({"x": X, "y": Y, "class_names": ["a"]}, "from 0 to 1, where 0 to 0"),
        (
            {"x_train": X, "y_train": Y, "x_test": X[:, 1:], "y_test": Y},
            "images of one shape. It holds images of",
        ),
        ({"x": X, "y": np.array([None] * 20)}, "cannot be read as arrays"),
    ],
)
def test_what_is_no_set_of_images_is_refused(load, arrays, message):
    with pytest.raises(ValueError, match=message):
        load(**arrays)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_damage_anywhere_is_a_sentence(tmp_path, save):
    path = tmp_path / "damaged.npz"
    # Some bytes of an archive are read by nobody, such as the time of a file.
    save(path, x=X[:4, :2, :2], y=Y[:4])
    whole = path.read_bytes()
    reasons = set()
    for place in range(0, len(whole), 7):
        path.write_bytes(
            whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :]
        )
        try:
            data.load(f"npz:{path}", validation_fraction=0)
        except ValueError as error:
            assert str(error).startswith(f"{path} ")
            reasons.add(type(error.__cause__).__name__)
    # A wrong checksum, and what cannot be unpacked.
    assert "BadZipFile" in reasons
    assert save is np.savez or "error" in reasons


def test_what_is_no_file_of_arrays_is_refused(tmp_path):
    np.save(tmp_path / "one.npy", X)
    (tmp_path / "text.npz").write_text("no arrays")
    (tmp_path / "cut.npz").write_bytes(b"PK\x03\x04 cut")
    (tmp_path / "empty.npz").touch()
    for name in ("one.npy", "text.npz", "cut.npz", "empty.npz", "."):
        place = re.escape(str(tmp_path / name))
        with pytest.raises(ValueError, match=f"{place} cannot be read as"):
            data.load(f"npz:{tmp_path / name}")
    os.mkfifo(tmp_path / "pipe.npz")
    with pytest.raises(ValueError, match="it is a named pipe, not a file"):
        data.load(f"npz:{tmp_path / 'pipe.npz'}")
    with pytest.raises(data.DataUnavailableError, match="There is no file"):
        data.load(f"npz:{tmp_path / 'nothing.npz'}")
    with pytest.raises(ValueError, match="only be given for folder:PATH"):
        data.load(f"npz:{tmp_path / 'nothing.npz'}", image_size=8)
