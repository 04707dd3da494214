"""Benchmarks' folders as images, identities and cameras."""

import os

import numpy as np
import pytest
from picture_folders import market_folder
from picture_folders import msmt17_folder
from picture_folders import write_picture

from keras_graft.data import DataUnavailableError
from keras_graft.recognition import LabelledImages
from keras_graft.recognition import hold_out_identities
from keras_graft.recognition import join
from keras_graft.recognition import load
from keras_graft.recognition import retrieval_metrics


def labels(part):
    return list(zip(part.ids.tolist(), part.cameras.tolist(), strict=True))


def images_of(ids, cameras):
    count = len(ids)
    images = np.arange(count, dtype=np.uint8)[:, None, None, None]
    return LabelledImages(
        np.broadcast_to(images, (count, 2, 2, 1)),
        np.array(ids),
        np.array(cameras),
    )


@pytest.mark.parametrize("name", ["market1501", "market_layout"])
def test_market_says_identity_and_camera_in_names(tmp_path, name):
    # As it is unpacked: a folder in the folder.
    market_folder(tmp_path / "Market-1501-v15.09.15")
    found = load(name, tmp_path, image_shape=(16, 8))
    assert labels(found.train) == [(2, 1), (2, 2), (7, 3), (7, 6)]
    assert labels(found.query) == [(1, 1), (3, 4)]
    assert labels(found.gallery) == [(-1, 1), (0, 1), (1, 1), (1, 2), (3, 1)]
    assert found.train.labels.tolist() == [0, 0, 1, 1]
    assert found.train.images.shape == (4, 16, 8, 3)
    assert found.train.images[:, 5, 5, 0] == pytest.approx(
        [0, 10, 20, 30], abs=2
    )
    assert found.notes == ()


def test_what_is_read_can_be_judged(tmp_path):
    found = load("market1501", market_folder(tmp_path), image_shape=(8, 4))
    sides = [
        (part.images.reshape(len(part), -1).astype(float), part.ids, cameras)
        for part, cameras in (
            (found.query, found.query.cameras),
            (found.gallery, found.gallery.cameras),
        )
    ]
    # Grey 0 looks for 30 (20 is of its camera), 10 for 40.
    got = retrieval_metrics(*sides[0], *sides[1], metric="euclidean")
    assert got["mAP"] == pytest.approx((1 / 2 + 1 / 4) / 2)


def test_duke_has_eight_cameras_and_no_distractor_of_its_own(tmp_path):
    market_folder(
        tmp_path,
        {
            "bounding_box_train": ["0001_c2_f0046182.jpg"],
            "query": ["0005_c8_f0046985.jpg"],
            "bounding_box_test": ["0005_c5_f0051341.jpg", "7139_c2_f01.jpg"],
        },
    )
    found = load("duke", tmp_path, image_shape=(8, 4))
    assert labels(found.query) == [(5, 8)]
    assert labels(found.gallery) == [(5, 5), (7139, 2)]
    with pytest.raises(ValueError, match="camera 8, where there are 1 to 6"):
        load("market1501", tmp_path)


def test_cuhk03_has_two_sets_of_boxes(tmp_path):
    names = {
        "bounding_box_train": ["0001_c1_1.png"],
        "query": ["0003_c1_1.png"],
        "bounding_box_test": ["0003_c2_6.png"],
    }
    for boxes in ("labeled", "detected"):
        market_folder(tmp_path / boxes, names)
    found = load("cuhk03", tmp_path / "labeled", image_shape=(8, 4))
    assert labels(found.gallery) == [(3, 2)]
    with pytest.raises(DataUnavailableError, match="detected, labeled. Name"):
        load("cuhk03", tmp_path)


@pytest.mark.parametrize(
    "folders", [("train", "test"), ("mask_train_v2", "mask_test_v2")]
)
def test_msmt17_goes_by_its_lists(tmp_path, folders):
    msmt17_folder(tmp_path / "MSMT17", folders)
    found = load("msmt17", tmp_path, image_shape=(8, 4))
    assert labels(found.train) == [(0, 1), (0, 2), (1, 3), (0, 15)]
    assert labels(found.query) == [(0, 1)]
    assert labels(found.gallery) == [(0, 2), (1, 1)]
    # Numbered anew in the test part: nothing is shared.
    assert found.notes == ()


def test_every_bad_file_is_in_one_message(tmp_path):
    market_folder(tmp_path)
    train, query = tmp_path / "bounding_box_train", tmp_path / "query"
    write_picture(train / "person.jpg")
    write_picture(train / "0002_c7s1_000001_00.jpg")
    write_picture(query / "-1_c1s1_000001_00.jpg")
    write_picture(query / "0000_c1s1_000001_00.jpg")
    (query / "0001_c2s1_000001_00.jpg").write_bytes(b"")
    (train / "0009_c1s1_000001_00.png").write_text("no picture")
    whole = write_picture(train / "0009_c2s1_000001_00.jpg", size=(64, 64))
    whole.write_bytes(whole.read_bytes()[:-5])
    with pytest.raises(ValueError) as error:
        load("market1501", tmp_path, image_shape=(8, 4))
    text = str(error.value)
    assert "4 misnamed files:" in text
    assert "bounding_box_train/person.jpg: it does not begin with" in text
    assert "camera 7, where there are 1 to 6" in text
    assert "junk (-1), which belongs into the gallery alone" in text
    assert "a distractor (0), which belongs into the gallery alone" in text
    assert "3 broken files:" in text
    assert "0009_c1s1_000001_00.png: no image, or a damaged one" in text
    assert "0009_c2s1_000001_00.jpg: image file is trunc" in text


def test_lists_that_name_nothing_are_told(tmp_path):
    msmt17_folder(tmp_path)
    with (tmp_path / "list_query.txt").open("a") as file:
        file.write("0001/0001_000_01_0303morning_0008_9.jpg 1\nnonsense\n")
    with pytest.raises(ValueError) as error:
        load("msmt17", tmp_path, image_shape=(8, 4))
    assert "1 files that a list names are missing:" in str(error.value)
    assert "list_query.txt: 3" in str(error.value)


def test_identities_on_both_sides_are_noted(tmp_path):
    market_folder(tmp_path)
    write_picture(tmp_path / "bounding_box_train" / "0001_c5s1_000001_00.jpg")
    found = load("market_layout", tmp_path, image_shape=(8, 4))
    assert "1 identities are trained on and looked for" in found.notes[0]


@pytest.fixture
def own(tmp_path):
    """Six identities by two cameras, one by a single one."""
    for identity in "abcdef":
        for i, camera in enumerate(["in", "out", "out"]):
            write_picture(tmp_path / identity / f"{i}-{camera}.png")
    write_picture(tmp_path / "lonely" / "0-in.png")
    return tmp_path


def test_images_are_those_of_any_other_folder(own):
    write_picture(own / "a" / "3-in.png").rename(own / "a" / "3-in.JPE")
    for name in (".b/0.png", "__MACOSX/0.png", "@eaDir/0.png", "a/.0.png"):
        (own / name).parent.mkdir(exist_ok=True)
        (own / name).write_text("no picture")
    found = load("folder", own, (8, 4))
    parts = (found.train, found.query, found.gallery)
    assert sum(len(part) for part in parts) == 20
    # Named, and neither passed over nor waited for.
    (own / "a" / "4-gone.png").symlink_to(own / "nothing.png")
    os.mkfifo(own / "a" / "5-pipe.png")
    with pytest.raises(ValueError) as error:
        load("folder", own, (8, 4))
    assert "2 broken files:" in str(error.value)
    assert "a/4-gone.png: No such file" in str(error.value)
    assert "a/5-pipe.png: it is a named pipe" in str(error.value)


def test_one_folder_an_identity_is_divided_by_the_seed(own):
    found = [
        load("folder", own, (8, 4), camera_pattern=r"-(\w+)\.", seed=seed)
        for seed in (0, 0, 1)
    ]
    sides = [
        [labels(part) for part in (one.train, one.query, one.gallery)]
        for one in found
    ]
    assert sides[0] == sides[1] != sides[2]
    for train, query, gallery in sides:
        assert len(query) == 3
        assert len(train) + len(query) + len(gallery) == 19
        assert not {i for i, _ in train} & {i for i, _ in query + gallery}
        assert all(any(i == j and c != d for j, d in gallery) for i, c in query)


def test_without_cameras_every_image_has_one_of_its_own(own):
    found = load("folder", own, (8, 4))
    everyone = np.concatenate(
        [part.cameras for part in (found.train, found.query, found.gallery)]
    )
    assert len(set(everyone)) == 19


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(", "no regular expression"),
        ("in|out", "must have one group"),
        (r"-(in)\.", "12 files without"),
    ],
)
def test_patterns_that_find_no_camera_are_refused(own, pattern, message):
    with pytest.raises(ValueError, match=message):
        load("folder", own, (8, 4), camera_pattern=pattern)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "market"}, "Known: market1501, duke, cuhk03"),
        ({"image_shape": (8,)}, "height, width"),
        ({"camera_pattern": "(.)"}, "is for 'folder'"),
        ({"folder": None}, "is read from a `folder`"),
        ({"name": "digits"}, "`folder` has no meaning"),
    ],
)
def test_wrong_arguments_are_named(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        load(**{"name": "duke", "folder": tmp_path, **arguments})


@pytest.mark.parametrize("name", ["market1501", "msmt17", "folder"])
def test_a_folder_that_is_not_there_is_unavailable(tmp_path, name):
    with pytest.raises(DataUnavailableError, match="There is no folder"):
        load(name, tmp_path / "nowhere")
    if name != "folder":
        with pytest.raises(DataUnavailableError, match="is missing"):
            load(name, tmp_path)


def test_digits_are_looked_for_among_themselves():
    found = load("digits")
    assert sorted(set(found.train.ids)) == [0, 1, 2, 3, 4]
    assert sorted(set(found.query.ids)) == [5, 6, 7, 8, 9]
    assert len(found.train) == 901 and len(found.query) == 896
    pixels = found.query.images.reshape(896, -1).astype("float32")
    sides = (pixels, found.query.ids, found.query.cameras)
    # Pixels alone do well; the image itself is not among what is found.
    got = retrieval_metrics(*sides, *sides)
    assert 0.5 < got["mAP"] < 0.8
    assert 0.95 < got["rank_1"] < 1


def test_joined_sets_share_no_identity_and_no_camera():
    joined = join(images_of([5, 5, 9], [1, 2, 1]), images_of([5, 6], [1, 4]))
    assert joined.ids.tolist() == [0, 0, 1, 2, 3]
    assert joined.cameras.tolist() == [0, 1, 0, 2, 3]
    assert len(joined.images) == 5


def test_held_out_identities_are_trained_on_no_more():
    ids = np.repeat(np.arange(20), 3)
    train = images_of(ids, np.tile([1, 2, 3], 20))
    rest, query, gallery = hold_out_identities(train, 0.2, seed=3)
    assert rest.num_identities == 16
    assert sorted(query.ids) == sorted(set(gallery.ids))
    assert not set(rest.ids) & set(query.ids)
    assert (len(rest), len(query), len(gallery)) == (48, 4, 8)
    again = hold_out_identities(train, 0.2, seed=4)[1]
    assert sorted(again.ids) != sorted(query.ids)
    with pytest.raises(ValueError, match="^fraction=0.05 of .* 2 to 18"):
        hold_out_identities(train, 0.05)
    for fraction in (0, 1, float("nan"), "half"):
        with pytest.raises(ValueError, match=r"`fraction` must be in \(0, 1"):
            hold_out_identities(train, fraction)
