import subprocess
import sys

import pytest

import keras_graft.data as data


def test_names_and_errors_are_had_without_tensorflow():
    script = (
        "import sys; import keras_graft.data as data; "
        "import keras_graft.data.names; data.load; data.Splits; "
        "data.DataUnavailableError; "
        "print([m for m in ('tensorflow', 'keras', 'keras_cv', "
        "'tensorflow_datasets') if m in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True
    )
    assert run.stdout.strip() == "[]", run.stderr


def test_every_public_name_resolves():
    for name in data.__all__:
        assert getattr(data, name).__name__ == name


def test_unknown_attribute_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        data.lode
