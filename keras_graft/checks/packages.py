"""Packages that an extra of this one installs, looked for before they serve.

The library alone needs none of them. What does, asks here first, so that a
user reads what to install instead of a traceback in the middle of something.
"""

import importlib.util

# What is imported: the name that pip knows, and the extra that has it.
_EXTRAS = {
    "ai_edge_litert": ("ai-edge-litert", "export"),
    "mlflow": ("mlflow", "mlflow"),
    "onnx": ("onnx", "export"),
    "onnxruntime": ("onnxruntime", "export"),
    "tensorboard": ("tensorboard", "tensorboard"),
    "tf2onnx": ("tf2onnx", "export"),
    "wandb": ("wandb", "wandb"),
    "PIL": ("pillow", "data"),
    "importlib_resources": ("importlib_resources", "data"),
    "matplotlib": ("matplotlib", "plot"),
    "requests": ("requests", "data"),
    "tensorflow_datasets": ("tensorflow-datasets", "data"),
}
# Modules that each use needs: what reads TFDS imports three of them.
TFDS = ("tensorflow_datasets", "importlib_resources", "requests")
IMAGE_FILES = ("PIL",)
PICTURES = ("matplotlib",)
# By format, as flags name it, what writes it and what it is checked with.
EXPORTS: dict[str, tuple[str, ...]] = {
    "saved_model": (),
    "onnx": ("tf2onnx", "onnx", "onnxruntime"),
    "litert": ("ai_edge_litert",),
}
TRACKERS = {name: (name,) for name in ("tensorboard", "wandb", "mlflow")}
# What the extra [command] consists of.
_OF_COMMANDS = ("data", "plot")


class MissingPackageError(ImportError):
    """A package is not installed; the message says which and what to do."""


def missing(modules: tuple[str, ...]) -> list[str]:
    """Returns those of the modules that cannot be imported; imports none."""
    return [name for name in modules if importlib.util.find_spec(name) is None]


def require(purpose: str, modules: tuple[str, ...]) -> None:
    """Refuses to go on without the packages that something needs.

    Args:
        purpose: What needs them, as the subject of a sentence.
        modules: Names of modules, such as `PICTURES`.

    Raises:
        MissingPackageError: If one cannot be imported, with its remedy.
    """
    absent = missing(modules)
    if not absent:
        return
    names = " and ".join(_EXTRAS[name][0] for name in absent)
    extras = sorted({_EXTRAS[name][1] for name in absent})
    more = ""
    if set(extras) <= set(_OF_COMMANDS):
        more = "; the extra [command] brings all that the commands use"
    raise MissingPackageError(
        f"{purpose} needs {names}, which {'is' if len(absent) == 1 else 'are'} "
        f"not installed. pip install 'keras_graft[{','.join(extras)}]' brings "
        f"what it needs{more}."
    )
