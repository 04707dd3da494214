"""Which files of a folder are read as what."""

import os
import re

import pytest

from keras_graft.data.folder.layout import look_through


def lay_out(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return look_through(root)


def found(layout):
    return {(f.split, f.class_name, f.name) for f in layout.files}


def test_a_folder_is_a_class_and_its_name_a_label(tmp_path):
    layout = lay_out(tmp_path, "dog/1.JPG", "cat/b c.png", "cat/ö/é.webp")
    assert layout.class_names == ("cat", "dog")
    assert found(layout) == {
        (None, "cat", "cat/b c.png"),
        (None, "cat", "cat/ö/é.webp"),
        (None, "dog", "dog/1.JPG"),
    }
    assert layout.splits == set()


@pytest.mark.parametrize(
    "train, validation, test",
    [
        ("train", "val", "test"),
        ("Training", "valid", "TEST"),
        ("train", "validation", "testing"),
    ],
)
def test_folders_of_splits_have_the_usual_names(
    tmp_path, train, validation, test
):
    layout = lay_out(
        tmp_path,
        *(f"{s}/{c}/1.png" for s in (train, validation, test) for c in "ab"),
    )
    assert layout.class_names == ("a", "b")
    assert layout.splits == {"train", "validation", "test"}
    assert ("validation", "b", f"{validation}/b/1.png") in found(layout)


def test_a_class_may_be_called_train(tmp_path):
    layout = lay_out(tmp_path, "train/1.png", "bus/1.png", "test/1.png")
    assert layout.class_names == ("bus", "test", "train")


def test_accents_of_a_mac_are_those_of_others(tmp_path):
    layout = lay_out(
        tmp_path,
        "train/caf\u00e9/1.png",
        "train/b/1.png",
        "test/cafe\u0301/2.png",
    )
    assert layout.class_names == ("b", "caf\u00e9")


def test_links_are_followed_and_end(tmp_path):
    lay_out(tmp_path / "elsewhere", "a/1.png", "b/1.png")
    root = tmp_path / "images"
    root.mkdir()
    os.symlink(tmp_path / "elsewhere" / "a", root / "a")
    (root / "b").mkdir()
    os.symlink(tmp_path / "elsewhere" / "b" / "1.png", root / "b" / "one.png")
    os.symlink(root / "b", root / "b" / "again")
    assert found(look_through(root)) == {
        (None, "a", "a/1.png"),
        (None, "b", "b/one.png"),
    }


def test_what_is_no_image_is_counted(tmp_path):
    layout = lay_out(
        tmp_path,
        "a/1.png",
        "b/1.png",
        "a/Thumbs.db",
        "a/notes.txt",
        "b/more.txt",
        "b/README",
        "a/.DS_Store",
        ".git/config.png",
        "__MACOSX/a.png",
        "stray.png",
    )
    assert layout.class_names == ("a", "b")
    assert layout.passed_over == {
        ".txt": 2,
        ".db": 1,
        "without a suffix": 1,
        "hidden": 1,
        "beside the class folders": 1,
    }


@pytest.mark.parametrize(
    "names, message",
    [
        ([], "holds no class, of 0 images"),
        (["a/1.png"], "holds one class, 'a', of 1 images. It must hold"),
        (["1.png", "2.png"], "no class, of 0 images (passed over 2 files: 2"),
        (
            ["a/1.png", "b/1.heic", "b/2.heic"],
            "no image of 'b' (passed over 2 files: 2 .heic). Every class",
        ),
        (
            ["train/a/1.png", "train/b/1.png", "test/c/1.png"],
            "images of 'c' to test on, but none below train/",
        ),
        (
            ["train/a/1.png", "val/a/1.png", "valid/a/1.png"],
            "val/ and valid/, which mean the same split",
        ),
        (
            ["train/a/1.png", "train/b/1.png", "dogs/1.png"],
            "folders of splits (train/), but also 'dogs'",
        ),
        (["test/a/1.png", "val/a/1.png"], "but no train/"),
    ],
)
def test_a_folder_to_learn_nothing_from_is_refused(tmp_path, names, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        lay_out(tmp_path, *names)
