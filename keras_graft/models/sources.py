"""What `--model` may name beside the networks of this package. No Keras."""

import difflib
import importlib.util
import os
import re
from typing import NamedTuple

from keras_graft.models.registry import names

NAMED = "named"
APPLICATIONS = "applications"
FILE = "file"
FUNCTION = "function"
# Packages with backbones under names of presets, by what pip calls them.
PRESETS = {"keras_cv": "keras-cv", "keras_hub": "keras-hub"}

# The functions of `keras.applications` that make networks; a test compares.
APPLICATION_NAMES = (
    *(f"ConvNeXt{size}" for size in ("Tiny", "Small", "Base", "Large")),
    "ConvNeXtXLarge",
    *(f"DenseNet{depth}" for depth in (121, 169, 201)),
    *(f"EfficientNetB{n}" for n in range(8)),
    *(f"EfficientNetV2{n}" for n in ("B0", "B1", "B2", "B3", "S", "M", "L")),
    "InceptionResNetV2",
    "InceptionV3",
    "MobileNet",
    "MobileNetV2",
    "MobileNetV3Large",
    "MobileNetV3Small",
    "NASNetLarge",
    "NASNetMobile",
    *(f"ResNet{d}{v}" for d in (50, 101, 152) for v in ("", "V2")),
    "VGG16",
    "VGG19",
    "Xception",
)
# Those that may be made wider or narrower, and by which arguments.
APPLICATION_ARGUMENTS = {
    "MobileNet": ("alpha", "depth_multiplier"),
    "MobileNetV2": ("alpha",),
    "MobileNetV3Large": ("alpha",),
    "MobileNetV3Small": ("alpha",),
}
# Whole numbers; the others are factors.
_WHOLE = ("depth_multiplier",)
_PRESET = re.compile(r"[\w.-]+(/[\w.-]+)*", re.ASCII)
_FUNCTION = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
# One of the functions that a module could have the name of.
_KINDS = (APPLICATIONS, *PRESETS)

HELP = (
    "applications:NAME[:alpha=A], keras_cv:PRESET, keras_hub:PRESET, "
    "PATH.keras, MODULE:FUNCTION"
)


class Source(NamedTuple):
    """Where an architecture comes from.

    Attributes:
        kind: `NAMED`, `APPLICATIONS`, one of `PRESETS`, `FILE` or `FUNCTION`.
        name: A name or preset, a path, or `module:function`.
        arguments: Of an application, by name.
    """

    kind: str
    name: str
    arguments: dict[str, float]


def source_of(text: str) -> Source:
    """Reads a value of `--model`.

    Args:
        text: A name of `names()`, or what `HELP` lists. Whether a file or a
            module is there is not looked at.

    Raises:
        ValueError: If it is none of them.
    """
    if text in names():
        return Source(NAMED, text, {})
    if text.endswith(".keras"):
        return Source(FILE, text, {})
    kind, colon, name = text.partition(":")
    if not colon:
        raise ValueError(f"{_hint(text, names())}It must be {_allowed()}")
    if kind == APPLICATIONS:
        return _application(name)
    if kind in PRESETS:
        if not (_PRESET.fullmatch(name) or os.path.isabs(name)):
            raise ValueError(
                f"after {kind}: it must be the name of a preset, or the "
                "folder of one"
            )
        return Source(kind, name, {})
    if not _FUNCTION.fullmatch(text):
        raise ValueError(f"{_hint(kind, _KINDS)}It must be {_allowed()}")
    return Source(FUNCTION, text, {})


def refuse_absent(source: Source) -> None:
    """Refuses what cannot be there, without importing it.

    Raises:
        ValueError: If a package or module is not installed.
    """
    if source.kind in PRESETS and _is_absent(source.kind):
        raise ValueError(
            f"{source.kind} is not installed. pip install "
            f"{PRESETS[source.kind]} brings it"
        )
    module = source.name.partition(":")[0].partition(".")[0]
    if source.kind == FUNCTION and _is_absent(module):
        raise ValueError(
            f"{_hint(module, _KINDS)}Python finds no module {module!r}. Start "
            "the command in its folder, or name that folder in PYTHONPATH"
        )


def _is_absent(module):
    return importlib.util.find_spec(module) is None


def _application(text):
    name, _, given = text.partition(":")
    if name not in APPLICATION_NAMES:
        raise ValueError(
            f"{_hint(name, APPLICATION_NAMES)}After applications: it must be "
            f"one of {', '.join(APPLICATION_NAMES)}"
        )
    allowed = APPLICATION_ARGUMENTS.get(name, ())
    arguments = {}
    for part in given.split(",") if given else ():
        key, _, value = part.partition("=")
        number = re.fullmatch(r"\d*\.?\d+", value, re.ASCII)
        whole = key not in _WHOLE or value.isdecimal()
        if key not in allowed or not number or not whole or not float(value):
            written = ", ".join(f"{a}=NUMBER" for a in allowed) or "nothing"
            raise ValueError(
                f"{part!r} is no argument of {name}: after its name may come "
                f"{written}, as in applications:MobileNetV2:alpha=0.35"
            )
        arguments[key] = int(value) if key in _WHOLE else float(value)
    return Source(APPLICATIONS, name, arguments)


def _hint(text, known):
    near = difflib.get_close_matches(text, known, n=1)
    return f"did you mean {near[0]}? " if near else ""


def _allowed():
    return f"one of {', '.join(names())}, {HELP}"
