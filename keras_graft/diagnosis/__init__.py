"""Reason: a trained CNN holds invalid filters. Counts and compares them.

`diagnose(model)` and `compare(models)` return a report that prints as a
table, `InvalidFilterMonitor` counts during training, and
`python -m keras_graft.diagnosis MODEL.keras` reads saved models.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keras_graft.diagnosis.comparison import Comparison as Comparison
    from keras_graft.diagnosis.comparison import compare as compare
    from keras_graft.diagnosis.counting import diagnose as diagnose
    from keras_graft.diagnosis.diagnosis import Diagnosis as Diagnosis
    from keras_graft.diagnosis.divergence import (
        DivergenceMonitor as DivergenceMonitor,
    )
    from keras_graft.diagnosis.filter_norms import (
        count_invalid as count_invalid,
    )
    from keras_graft.diagnosis.filter_norms import (
        filter_l1_norms as filter_l1_norms,
    )
    from keras_graft.diagnosis.monitor import (
        InvalidFilterMonitor as InvalidFilterMonitor,
    )

# Resolved on first use: the command refuses a missing file before Keras and
# TensorFlow are imported.
_HOME = {
    "Comparison": "comparison",
    "Diagnosis": "diagnosis",
    "DivergenceMonitor": "divergence",
    "InvalidFilterMonitor": "monitor",
    "compare": "comparison",
    "count_invalid": "filter_norms",
    "diagnose": "counting",
    "filter_l1_norms": "filter_norms",
}

__all__ = [*_HOME]


if not TYPE_CHECKING:  # It would take any name for one of ours.

    def __getattr__(name):
        if name in _HOME:
            module = importlib.import_module(f"{__name__}.{_HOME[name]}")
            return getattr(module, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *__all__])
