"""Reason: a trained CNN holds invalid filters. Counts and compares them.

`diagnose(model)` and `compare(models)` return a report that prints as a
table, `InvalidFilterMonitor` counts during training, and
`python -m keras_graft.diagnosis MODEL.keras` reads saved models.
"""

import importlib

# Resolved on first use: the command refuses a missing file before Keras and
# TensorFlow are imported.
_HOME = {
    "Comparison": "comparison",
    "Diagnosis": "report",
    "InvalidFilterMonitor": "monitor",
    "compare": "comparison",
    "count_invalid": "filter_norms",
    "diagnose": "report",
    "filter_l1_norms": "filter_norms",
}

__all__ = [*_HOME]


def __getattr__(name):
    if name in _HOME:
        module = importlib.import_module(f"{__name__}.{_HOME[name]}")
        return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *__all__])
