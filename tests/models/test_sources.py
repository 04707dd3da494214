"""What `--model` may name, read and refused without Keras."""

import inspect

import keras
import pytest

from keras_graft.models import sources


def test_applications_are_those_of_keras():
    made = {
        name: function
        for name, function in inspect.getmembers(keras.applications)
        if inspect.isfunction(function)
    }
    assert set(sources.APPLICATION_NAMES) == set(made)
    for name, arguments in sources.APPLICATION_ARGUMENTS.items():
        assert set(arguments) <= set(inspect.signature(made[name]).parameters)


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("resnet20", (sources.NAMED, "resnet20", {})),
        ("/a b/x.keras", (sources.FILE, "/a b/x.keras", {})),
        ("applications:VGG16", (sources.APPLICATIONS, "VGG16", {})),
        (
            "applications:MobileNet:alpha=.5,depth_multiplier=2",
            (
                sources.APPLICATIONS,
                "MobileNet",
                {"alpha": 0.5, "depth_multiplier": 2},
            ),
        ),
        ("keras_cv:resnet18_v2", ("keras_cv", "resnet18_v2", {})),
        ("keras_hub:/presets/x", ("keras_hub", "/presets/x", {})),
        ("mine.nets:build", (sources.FUNCTION, "mine.nets:build", {})),
    ],
)
def test_source_is_read(text, source):
    assert sources.source_of(text) == source


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("resnett20", "did you mean resnet20"),
        ("applications:MobilNetV2", "did you mean MobileNetV2"),
        ("applications:VGG16:alpha=0.5", "may come nothing"),
        ("applications:MobileNetV2:alpha=0", "may come alpha=NUMBER"),
        ("applications:MobileNetV2:alpha=nan", "may come alpha=NUMBER"),
        ("applications:MobileNet:depth_multiplier=1.5", "is no argument of"),
        ("keras_cv:", "name of a preset"),
        ("mine:", "MODULE:FUNCTION"),
        ("kerascv:x.y", "did you mean keras_cv"),
        ("", "PATH.keras"),
    ],
)
def test_what_names_nothing_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        sources.source_of(text)


def test_module_that_is_not_there_may_be_a_word_misspelt():
    source = sources.source_of("application:VGG16")
    message = "did you mean applications.*no module 'application'"
    with pytest.raises(ValueError, match=message):
        sources.refuse_absent(source)


def test_library_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    source = sources.source_of("keras_hub:vgg_16_imagenet")
    with pytest.raises(ValueError, match="pip install keras-hub"):
        sources.refuse_absent(source)
