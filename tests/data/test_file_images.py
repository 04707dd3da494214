"""Images of files: the same pixels, wherever they are kept."""

import itertools

import numpy as np
import pytest
from image_folders import write_classes
from image_folders import write_image
from PIL import Image

from keras_graft import data
from keras_graft.data import pipeline
from keras_graft.data.folder import kept_images
from keras_graft.data.folder.file_images import FileImages
from keras_graft.data.folder.file_images import ImageStore
from keras_graft.data.folder.image_file import BadImageError
from keras_graft.data.folder.image_file import crop_to
from keras_graft.data.folder.image_file import fit_to
from keras_graft.data.folder.image_file import read_image
from keras_graft.data.names import CACHES

SIDE = 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("images")
    return write_classes(root, {"a": 15, "b": 15}, side=20, suffix=".jpg")


def train_of(folder, **changes):
    return data.load(f"folder:{folder}", image_size=SIDE, **changes).train


def elements(split, count, augment="none", **changes):
    arguments = {"batch_size": 4, "seed": 3, "num_networks": 2}
    batches = pipeline.training_batches(
        split, augment=augment, num_classes=2, **arguments | changes
    )
    return list(itertools.islice(batches.as_numpy_iterator(), count))


def assert_same(one, other):
    for left, right in zip(one, other, strict=True):
        for x, y in zip(left, right, strict=True):
            if isinstance(x, dict):
                assert x.keys() == y.keys()
                x, y = np.stack([*x.values()]), np.stack([*y.values()])
            np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("augment", ["standard", "resized_crop"])
def test_batches_do_not_depend_on_what_is_kept(folder, augment):
    whole = augment == "resized_crop"
    found = [
        elements(train_of(folder, cache=cache, whole=whole), 3, augment)
        for cache in CACHES
    ]
    for other in found[1:]:
        assert_same(found[0], other)


@pytest.mark.parametrize(
    "augment, batches",
    [("none", "shared"), ("standard", "own"), ("cutmix", "shared")],
)
def test_files_make_the_batches_of_their_arrays(folder, augment, batches):
    split = train_of(folder, cache="none")
    array = data.Split(split.images[:], split.labels)
    assert_same(
        elements(split, 3, augment, batches=batches),
        elements(array, 3, augment, batches=batches),
    )
    assert_same(
        pipeline.evaluation_batches(split, 9).as_numpy_iterator(),
        pipeline.evaluation_batches(array, 9).as_numpy_iterator(),
    )


def test_parts_differ_by_network_and_epoch_and_are_drawn_by_the_seed(folder):
    split = train_of(folder, whole=True)
    steps = len(split) // 4
    through = elements(split, 2 * steps, "resized_crop")
    begun = elements(split, steps, "resized_crop", initial_epoch=1)
    assert_same(through[steps:], begun)
    views = [image.tobytes() for x, _ in through for image in (*x.values(),)]
    assert len(set(views)) == 2 * len(through)
    alone = elements(split, 1, "resized_crop", num_networks=1)
    np.testing.assert_array_equal(alone[0][0], through[0][0]["network_0"])
    own = elements(split, 1, "resized_crop", batches="own")
    np.testing.assert_array_equal(
        own[0][0]["network_0"], through[0][0]["network_0"]
    )


def test_an_image_is_decoded_once_however_many_networks_see_it(folder):
    class Counting(ImageStore):
        decoded = 0

        def decode(self, path):
            self.decoded += 1
            return super().decode(path)

    paths = sorted(folder.rglob("*.jpg"))[:8]
    for augment in ("standard", "resized_crop"):
        store = Counting(SIDE, "crop", augment == "resized_crop")
        store.fill(paths, None)
        images = FileImages(store, np.arange(8), [""] * 8)
        split = data.Split(images, np.zeros(8, np.int32))
        split.images[:1]
        before = store.decoded
        store.parts([0, 1], np.zeros((5, 2, 5), np.float32))
        zeros = np.zeros((5, 2), np.int32)
        store.shifted([2, 3], zeros, zeros, zeros)
        assert store.decoded - before == 4
        # The whole area, not mirrored; no shift from the middle.
        whole = np.tile([1.0, 0.5, 0.0, 0.0, 0.9], (1, 2, 1))
        parts = store.parts([6, 3], whole)
        np.testing.assert_array_equal(parts[0], images[[6, 3]])
        middle = np.full((1, 2), SIDE // 8)
        shifted = store.shifted([6, 3], middle, middle, middle > SIDE)
        np.testing.assert_array_equal(shifted[0], images[[6, 3]])
        rows = split.take(np.array([5, 2])).images
        np.testing.assert_array_equal(rows[1], images[2])
        np.testing.assert_array_equal(rows[:], images[[5, 2]])


def test_a_part_is_where_and_as_large_as_drawn():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    # Area, proportions, left, top, mirrored.
    whole = np.array([1.0, 0.5, 0.3, 0.6, 0.9])
    np.testing.assert_array_equal(crop_to(image, whole, 16), pixels)
    mirrored = np.array([1.0, 0.5, 0.3, 0.6, 0.1])
    np.testing.assert_array_equal(crop_to(image, mirrored, 16), pixels[:, ::-1])
    # A quarter of the area, from the lower right corner.
    quarter = np.array([(0.25 - 0.08) / 0.92, 0.5, 1.0, 1.0, 0.9])
    np.testing.assert_array_equal(crop_to(image, quarter, 8), pixels[8:, 8:])
    # 4:3 does not fit in at this area: it is cut to the width.
    wide = np.array([0.99, 1.0, 0.0, 0.0, 0.9])
    height = np.sqrt((0.08 + 0.92 * 0.99) * 256 * 3 / 4)
    expected = image.resize(
        (9, 9), Image.Resampling.BILINEAR, (0, 0, 16, height)
    )
    np.testing.assert_array_equal(crop_to(image, wide, 9), expected)


def test_a_large_photograph_is_decoded_small_and_looks_the_same(tmp_path):
    small = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)
    photograph = Image.fromarray(small).resize((1600, 1200))
    photograph.save(tmp_path / "a.jpg", quality=95)
    read = read_image(tmp_path / "a.jpg", 100)
    assert read.size == (400, 300)
    found = fit_to(read, 100, "crop").astype(int)
    expected = fit_to(photograph, 100, "crop").astype(int)
    assert np.abs(found - expected).max() < 12
    store = ImageStore(100, "crop", whole=True)
    assert store.decode(tmp_path / "a.jpg").size == (267, 200)
    assert store.bytes_of((1600, 1200)) == pytest.approx(
        3 * 267 * 200, rel=0.01
    )


def test_auto_keeps_what_fits_and_says_where(tmp_path):
    keeper, note = kept_images.choose("auto", 2**20, tmp_path)
    assert isinstance(keeper, kept_images.InMemory)
    assert note == "Decoded images are kept in memory: 1 MiB."
    memory = kept_images.machine_memory()
    assert 2**28 < memory < 2**50
    keeper, note = kept_images.choose("auto", 2**60, tmp_path)
    assert keeper is None
    assert "not kept: they would take 1,099,511,627,776 MiB" in note
    keeper, note = kept_images.choose("disk", 2**20, tmp_path)
    assert f"in a file below {tmp_path}" in note
    assert list(tmp_path.iterdir()) == []
    for place in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(ValueError, match="cannot hold.*--cache=none"):
            kept_images.choose("disk", 2**60, place)


def test_an_image_that_is_gone_later_is_named(tmp_path):
    write_image(tmp_path / "a.png")
    store = ImageStore(SIDE, "crop", whole=False)
    store.fill([tmp_path / "a.png"], None)
    (tmp_path / "a.png").unlink()
    with pytest.raises(BadImageError, match="a.png: No such file"):
        store.squares([0])
