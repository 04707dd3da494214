"""Trains N convolutional networks together and ships one of them.

| the paper's word | what it is | where it lives |
| --- | --- | --- |
| Reason | a trained CNN holds invalid filters | `diagnosis` |
| Method | networks take in weights of their peers | `grafting` |
| Cultivation | distillation keeps valid filters good | `distillation` |

`GraftTrainer` trains the networks, `GraftCallback` grafts between epochs,
`InvalidFilterMonitor` counts invalid filters, `RunCheckpoint` lets a run that
was killed go on. `swa` ships an average of
weights, `models` builds networks by name, `data` reads images,
`python -m keras_graft.launch` does it all.

Source: arXiv 2004.12311.
"""

import importlib

from keras_graft.version import __version__ as __version__

# Resolved on first use: a bad flag is refused before Keras is imported.
_HOME = {
    "GraftTrainer": "trainer",
    "GraftCallback": "grafting",
    "InvalidFilterMonitor": "diagnosis",
    "MutualDistillation": "distillation",
    "TeacherDistillation": "distillation",
    "RunCheckpoint": "checkpoint.run_checkpoint",
    "diagnose": "diagnosis",
}
_MODULES = ("data", "diagnosis", "distillation", "grafting", "models", "swa")

__all__ = [*_HOME, *_MODULES]


def __getattr__(name):
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _HOME:
        module = importlib.import_module(f"{__name__}.{_HOME[name]}")
        return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *__all__])
