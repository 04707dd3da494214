"""Files that are saved Keras models, and files that are not."""

import zipfile

import keras
import numpy as np
import pytest

from keras_graft.diagnosis import saved_models


def small_model():
    return keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Conv2D(2, 3)])


def test_saved_model_is_loaded_without_its_compile_state(tmp_path):
    model = small_model()
    model.compile("adam", "mse")
    model.save(tmp_path / "a.keras")
    saved_models.check_file(str(tmp_path / "a.keras"))
    loaded = saved_models.load(str(tmp_path / "a.keras"))
    assert not loaded.compiled
    np.testing.assert_array_equal(
        loaded.layers[0].kernel, model.layers[0].kernel
    )


def test_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match="There is no file .*gone.keras"):
        saved_models.check_file(str(tmp_path / "gone.keras"))


def test_folder_is_refused_with_what_to_give(tmp_path):
    with pytest.raises(ValueError, match="is a folder. Give .*shipped.keras"):
        saved_models.check_file(str(tmp_path))


@pytest.mark.parametrize("name", ["a.keras", "a.h5", "a.txt"])
def test_file_of_another_kind_is_refused(tmp_path, name):
    (tmp_path / name).write_text("no model")
    with pytest.raises(ValueError, match="not a saved Keras model"):
        saved_models.check_file(str(tmp_path / name))


def test_truncated_file_is_refused(tmp_path):
    path = tmp_path / "a.keras"
    small_model().save(path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match="not a saved Keras model"):
        saved_models.check_file(str(path))


def test_archive_without_a_model_cannot_be_loaded(tmp_path):
    path = tmp_path / "a.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "no model")
    saved_models.check_file(str(path))
    with pytest.raises(ValueError, match=r"a\.keras cannot be loaded: "):
        saved_models.load(str(path))
