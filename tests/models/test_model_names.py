"""The names of `models.build`, and what it refuses."""

import pytest
from launching import run_python

from keras_graft import models


def test_names_and_refusals_need_no_keras():
    code = """
import sys
from keras_graft import models
print(" ".join(models.names()))
try:
    models.build("resnet20", num_classes=1)
except ValueError as error:
    print(error)
heavy = {"keras", "tensorflow"} & set(sys.modules)
if heavy:
    raise SystemExit(f"imported: {heavy}")
"""
    known, refusal = run_python(code).splitlines()

    assert known.split() == list(models.names())
    assert refusal.startswith("num_classes must be")


@pytest.mark.slow
def test_every_name_builds():
    for name in models.names():
        network = models.build(name, 2, (8, 8, 1), width=0.02)
        assert network.name == name


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet200", "Unknown model 'resnet200'. Did you mean 'resnet20'"),
        ("vgg", "Did you mean 'vgg16'"),
        ("transformer", "Known models: resnet8, resnet14, .*, wrn28_10"),
        (None, "Unknown model None"),
    ],
)
def test_unknown_name_is_refused(name, message):
    with pytest.raises(ValueError, match=message):
        models.build(name, num_classes=10)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_classes": 1}, "num_classes must be .* Received: 1"),
        ({"num_classes": 10.0}, "num_classes must be .* Received: 10.0"),
        ({"num_classes": True}, "num_classes must be .* Received: True"),
        ({"input_shape": (32, 32)}, r"input_shape must .* \(32, 32\)"),
        ({"input_shape": (32, 0, 3)}, r"input_shape must .* \(32, 0, 3\)"),
        ({"input_shape": (None, None, 3)}, "input_shape must .* None"),
        ({"input_shape": 32}, "input_shape must .* Received: 32"),
        ({"width": 0}, "width must .* Received: 0"),
        ({"width": float("nan")}, "width must .* Received: nan"),
        ({"width": float("inf")}, "width must .* Received: inf"),
        ({"width": "2"}, "width must .* Received: '2'"),
        ({"seed": None}, "seed must be an integer. Received: None"),
        ({"pixel_mean": (1.0, 2.0)}, "pixel_mean and pixel_std .* 3 channels"),
        ({"pixel_std": (1.0, 0.0, 1.0)}, "pixel_std must be above 0"),
        ({"pixel_mean": 127.5}, "pixel_mean and pixel_std .* 3 channels"),
    ],
)
def test_bad_argument_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        models.build("resnet8", **{"num_classes": 10, **arguments})
