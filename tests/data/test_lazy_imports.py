import pytest
from launching import run_python

import keras_graft.data as data


def test_names_and_errors_are_had_without_tensorflow():
    script = (
        "import sys; import keras_graft.data as data; "
        "import keras_graft.data.names; data.load; data.Splits; "
        "data.DataUnavailableError; "
        "print([m for m in ('tensorflow', 'keras', 'keras_cv', "
        "'tensorflow_datasets') if m in sys.modules])"
    )
    assert run_python(script).strip() == "[]"


def test_randaugment_does_without_keras_cv_which_takes_seconds_to_import():
    script = (
        "import sys; import numpy as np; import keras_graft.data as data; "
        "images = np.zeros((4, 8, 8, 3), np.uint8); "
        "split = data.Split(images, np.zeros(4, np.int32)); "
        "batches = data.training_batches("
        "split, batch_size=4, seed=0, augment='randaugment'); "
        "print(next(iter(batches))[0].shape, 'keras_cv' in sys.modules)"
    )
    assert run_python(script).strip() == "(4, 8, 8, 3) False"


def test_every_public_name_resolves():
    for name in data.__all__:
        assert getattr(data, name).__name__ == name


def test_unknown_attribute_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        data.lode
