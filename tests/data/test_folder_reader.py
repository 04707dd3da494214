"""A folder as the splits of a run."""

import collections
import pathlib
import re
import shutil

import numpy as np
import pytest
from image_folders import write_classes
from image_folders import write_image
from PIL import Image
from test_image_file import broken_files

from keras_graft import data

ROOTS = {"drawn": "", "given": "train/"}


def load(root, **changes):
    return data.load(f"folder:{root}", **changes)


def names_of(splits, split):
    return {file.name for file in splits.files if file.split == split}


@pytest.fixture(scope="module")
def pets(tmp_path_factory):
    """Classes of 20, 10 and 3 images, without splits."""
    root = tmp_path_factory.mktemp("pets")
    return write_classes(root, {"ant": 20, "bee": 10, "cow": 3})


def test_splits_are_drawn_by_the_seed_from_each_class(pets):
    splits = load(pets, seed=4)
    assert splits.class_names == ("ant", "bee", "cow")
    assert splits.num_classes == 3
    for split, sizes in (("test", (4, 2, 1)), ("validation", (2, 1, 0))):
        found = collections.Counter(
            f.class_name for f in splits.files if f.split == split
        )
        # A fifth and a tenth of the rest, to within one image.
        for name, size in zip(splits.class_names, sizes, strict=True):
            assert abs(found[name] - size) <= 1
        assert found.total() == {"test": 7, "validation": 3}[split]
    assert set(splits.train.labels.tolist()) == {0, 1, 2}
    again, other = load(pets, seed=4), load(pets, seed=5)
    assert again.files == splits.files
    np.testing.assert_array_equal(again.train.images[:], splits.train.images[:])
    assert names_of(other, "test") != names_of(splits, "test")
    assert "20% of each class" in " ".join(splits.notes)


def test_pixels_and_labels_are_those_of_the_files(pets):
    splits = load(pets, validation_fraction=0)
    assert splits.validation is None
    for name in ("train", "test"):
        split = getattr(splits, name)
        files = [file for file in splits.files if file.split == name]
        assert len(split) == len(files)
        for image, label, file in zip(
            split.images, split.labels, files, strict=True
        ):
            stored = np.asarray(Image.open(pets / file.name))
            np.testing.assert_array_equal(image, stored)
            assert splits.class_names[label] == pathlib.Path(file.name).parts[0]
    images = splits.train.images[:].astype("float64")
    np.testing.assert_allclose(splits.pixel_mean, images.mean((0, 1, 2)))
    np.testing.assert_allclose(splits.pixel_std, images.std((0, 1, 2)))


def test_train_examples_are_drawn_before_the_validation_split(pets):
    splits = load(pets, train_examples=20, validation_fraction=0.2)
    assert (len(splits.train), len(splits.validation)) == (16, 4)
    assert len(names_of(splits, "unused")) == 26 - 20
    assert len(splits.test) == 7


def test_folders_of_splits_are_kept(tmp_path):
    counts = {"a": 4, "b": 4}
    for split in ("train", "val", "test"):
        write_classes(tmp_path / split, counts, side=8 + len(split))
    splits = load(tmp_path)
    for name, folder in (
        ("train", "train"),
        ("validation", "val"),
        ("test", "test"),
    ):
        assert len(getattr(splits, name)) == 8
        found = names_of(splits, name)
        assert {pathlib.Path(n).parts[0] for n in found} == {folder}
    assert splits.notes == ("Decoded images are kept in memory: 0 MiB.",)
    unvalidated = load(tmp_path, validation_fraction=0)
    assert unvalidated.validation is None
    assert len(unvalidated.train) == 8
    assert "the validation split is not used" in " ".join(unvalidated.notes)
    shutil.rmtree(tmp_path / "test")
    with_val = load(tmp_path, validation_fraction=0.25)
    assert {n[:3] for n in names_of(with_val, "test")} == {"val"}
    assert (len(with_val.train), len(with_val.validation)) == (6, 2)
    assert "the validation split tests" in " ".join(with_val.notes)
    shutil.rmtree(tmp_path / "val")
    assert len(load(tmp_path).test) == 2


def test_images_have_the_size_that_is_usual_or_asked_for(tmp_path):
    for i, side in enumerate((9, 10, 10, 40)):
        write_image(tmp_path / "a" / f"{i}.png", seed=i, side=side)
        write_image(tmp_path / "b" / f"{i}.png", seed=9 + i, side=side)
    assert load(tmp_path).train.images.shape[1:] == (10, 10, 3)
    asked = load(tmp_path, image_size=24, resize="pad")
    assert asked.train.images.shape[1:] == (24, 24, 3)
    write_classes(tmp_path, {"a": 3, "b": 3}, side=230)
    for i in range(3):
        (tmp_path / "a" / f"{i}.png").unlink()
    assert load(tmp_path).train.images.shape[1:] == (224, 224, 3)


def test_the_same_image_in_two_splits_is_named(tmp_path):
    for split in ("train", "test"):
        write_classes(tmp_path / split, {"a": 5, "b": 5}, side=len(split) + 4)
    # Stored in another way, and turned by the camera: the same pixels.
    pixels = np.asarray(Image.open(tmp_path / "train/a/001.png"))
    exif = Image.Exif()
    exif[274] = 3
    turned = Image.fromarray(np.ascontiguousarray(pixels[::-1, ::-1]))
    turned.save(tmp_path / "test" / "b" / "copy.png", exif=exif)
    shutil.copy(tmp_path / "train/a/002.png", tmp_path / "train/a/same.png")
    note, _ = load(tmp_path, validation_fraction=0).notes
    assert note.startswith("1 images are in another split too")
    assert "test test/b/copy.png = train train/a/001.png" in note


@pytest.mark.filterwarnings("ignore:Image size:Warning")
def test_bad_images_are_all_named_and_left_out_on_demand(tmp_path):
    write_classes(tmp_path, {"a": 6, "b": 6})
    bad = broken_files(tmp_path / "a")
    with pytest.raises(ValueError) as refused:
        load(tmp_path)
    message = str(refused.value)
    assert message.startswith(f"{len(bad)} images cannot be used:\n")
    assert "--bad_images=skip" in message
    for name, reason in bad.items():
        assert re.search(f"{tmp_path}/a/{name}: .*{re.escape(reason)}", message)
    splits = load(tmp_path, bad_images="skip")
    assert len(splits.files) == 12
    (note,) = [n for n in splits.notes if n.startswith("Left out 11 images")]
    assert all(f"{tmp_path}/a/{name}: " in note for name in bad)
    shutil.rmtree(tmp_path / "b")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "only.png").write_text("no image")
    with pytest.raises(ValueError, match="no image of 'b'"):
        load(tmp_path, bad_images="skip")


@pytest.mark.parametrize(
    "counts, changes, message",
    [
        ({"a": 9, "b": 1}, {}, "too few images to train on of 'b' (1): the "),
        ({"a": 9, "b": 2}, {}, "every class needs 3 at least"),
        (
            {"train/a": 2, "train/b": 1, "test/a": 1, "test/b": 1},
            {},
            "the validation split is drawn from them, so that every class "
            "needs 2",
        ),
        ({"a": 9, "b": 9}, {"train_examples": 1}, "from 2, one to a class"),
        ({"a": 9, "b": 9}, {"train_examples": 99}, "the training images of"),
        ({"a": 9, "b": 3}, {"validation_fraction": 0.9}, "is left to train on"),
        ({"a": 9, "b": 9}, {"resize": "fit"}, "must be one of crop, pad"),
        ({"a": 9, "b": 9}, {"bad_images": "no"}, "one of refuse, skip"),
    ],
)
def test_too_few_images_are_refused(tmp_path, counts, changes, message):
    write_classes(tmp_path, counts)
    with pytest.raises(ValueError, match=re.escape(message)):
        load(tmp_path, **changes)


def test_a_folder_that_is_not_there_is_unavailable_data(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "nothing", tmp_path / "file"):
        with pytest.raises(data.DataUnavailableError, match="Name a folder"):
            load(path)


def test_other_datasets_take_no_image_size():
    with pytest.raises(ValueError, match="image_size can only be given for"):
        data.load("digits", image_size=8)
