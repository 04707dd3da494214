"""Any classification dataset of TFDS, by its name."""

import io
import json
import re
import shutil

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from keras_graft import data
from keras_graft.data import tfds_source

NAMES = ["bean", "leaf"]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Photographs of two sizes as TFDS prepares them, and their pixels."""
    folder = tmp_path_factory.mktemp("tfds")
    rng = np.random.default_rng(0)
    stored = {}

    def examples(split, count, labelled=True):
        for i in range(count):
            shape = ((20, 30), (16, 12))[i % 2]
            pixels = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
            stored.setdefault(split, []).append(pixels)
            file = io.BytesIO()
            Image.fromarray(pixels).save(file, "PNG")
            label = i // 2 % 2 if labelled else -1
            yield i, {"image": io.BytesIO(file.getvalue()), "label": label}

    class Petals(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tfds.core.Version("0.1.0")
        name = "petals"

        def _info(self):
            return tfds.core.DatasetInfo(
                builder=self,
                features=tfds.features.FeaturesDict(
                    {
                        "image": tfds.features.Image(shape=(None, None, 3)),
                        "label": tfds.features.ClassLabel(names=NAMES),
                    }
                ),
                supervised_keys=("image", "label"),
            )

        def _split_generators(self, dl_manager):
            del dl_manager  # unused
            return {
                "train": examples("train", 12),
                "validation": examples("validation", 8),
                "test": examples("test", 4, labelled=False),
                "extra": examples("extra", 4),
            }

        def _generate_examples(self):
            raise NotImplementedError

    Petals(data_dir=folder).download_and_prepare()
    return folder, stored


def rows(images):
    return sorted(image.tobytes() for image in images)


def test_images_and_classes_are_those_that_were_stored(prepared):
    folder, stored = prepared
    splits = data.load("tfds:petals", folder, image_size=12, resize="stretch")
    assert splits.class_names == ("bean", "leaf")
    # Its test split has no classes: the validation split tests.
    assert len(splits.test) == 8
    assert (len(splits.train), len(splits.validation)) == (11, 1)
    assert "the validation split tests" in splits.notes[0]
    expected = [
        np.asarray(
            Image.fromarray(pixels).resize((12, 12), Image.Resampling.BILINEAR)
        )
        for pixels in stored["validation"]
    ]
    assert rows(splits.test.images[:]) == rows(expected)
    # A class is what the shape and position of an image make it.
    found = dict(
        zip(map(bytes, splits.test.images[:]), splits.test.labels.tolist())
    )
    assert [found[e.tobytes()] for e in expected] == [0, 0, 1, 1] * 2
    again = data.load(
        "tfds:petals", folder, image_size=12, resize="stretch", cache="none"
    )
    np.testing.assert_array_equal(again.train.images[:], splits.train.images[:])
    assert again.files == splits.files


def test_a_damaged_copy_is_named(prepared, tmp_path):
    shutil.copytree(prepared[0], tmp_path / "copy")
    place = tmp_path / "copy" / "petals" / "0.1.0"
    (records,) = place.glob("petals-train*")
    whole = records.read_bytes()
    for content, reason in (
        (whole[:-30], "is cut short"),
        (b"", "0 images, where 12 are expected"),
    ):
        records.write_bytes(content)
        with pytest.raises(data.DataUnavailableError, match=reason) as error:
            data.load("tfds:petals", tmp_path / "copy")
        assert f"{place} is incomplete or damaged" in str(error.value)
    records.unlink()
    with pytest.raises(data.DataUnavailableError, match="damaged .train split"):
        data.load("tfds:petals", tmp_path / "copy")


def test_other_kinds_of_datasets_are_refused(prepared, tmp_path):
    shutil.copytree(prepared[0], tmp_path / "copy")
    info = tmp_path / "copy" / "petals" / "0.1.0" / "dataset_info.json"
    changed = json.loads(info.read_text())
    del changed["supervisedKeys"]
    info.write_text(json.dumps(changed))
    with pytest.raises(ValueError, match="has no image with one class to each"):
        data.load("tfds:petals", tmp_path / "copy")


@pytest.mark.parametrize("name", ["imdb_reviews", "celeb_a"])
def test_other_kinds_are_refused_before_anything_is_downloaded(
    name, tmp_path, monkeypatch
):
    monkeypatch.setattr(
        "keras_graft.data.tfds.network_reaches", lambda _: pytest.fail("asked")
    )
    with pytest.raises(ValueError, match=f"tfds:{name} has no image with one"):
        data.load(f"tfds:{name}", tmp_path)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"resize": "fit"}, "`resize` must be one of crop, pad"),
        ({"cache": "ram"}, "`cache` must be one of auto"),
        ({"bad_images": "keep"}, "`bad_images` must be one of refuse"),
        ({"image_size": 0}, "`image_size` must be a whole number"),
    ],
)
@pytest.mark.parametrize("name", ["tfds:beans", "folder:/nowhere"])
def test_wrong_options_are_refused_before_any_image_is_looked_for(
    name, option, message
):
    with pytest.raises(ValueError, match=message):
        data.load(name, **option)


def test_absent_and_offline_is_unavailable_with_remedies(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "keras_graft.data.tfds.network_reaches", lambda _: False
    )
    with pytest.raises(data.DataUnavailableError) as error:
        data.load("tfds:beans", tmp_path)
    message = str(error.value)
    assert f"beans is not prepared in {tmp_path}" in message
    assert f"{tmp_path}/beans/0.1.0" in message
    assert "go online and start again" in message
    with pytest.raises(data.DataUnavailableError, match="place its archives"):
        data.load("tfds:imagenet2012", tmp_path)
    assert tfds_source.root_of(tmp_path) == tmp_path


def test_unknown_name_is_refused_with_a_hint(tmp_path):
    with pytest.raises(ValueError, match=re.escape("mean tfds:beans?")):
        data.load("tfds:beens", tmp_path)
