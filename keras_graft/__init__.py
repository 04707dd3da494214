"""Trains N convolutional networks together and ships one of them.

| the paper's word | what it is | where it lives |
| --- | --- | --- |
| Reason | a trained CNN holds invalid filters | `diagnosis` |
| Method | networks take in weights of their peers | `grafting` |
| Cultivation | distillation keeps valid filters good | `distillation` |

`GraftTrainer` trains the networks, `GraftCallback` grafts between epochs,
`InvalidFilterMonitor` counts invalid filters, `RunCheckpoint` lets a run that
was killed go on, `replicate` makes N networks from one and `mean_network` one
from N. `swa` ships an average of weights, `models` builds networks by name,
`data` reads images, `recognition` judges embeddings by what they find in a
gallery, `python -m keras_graft.launch` does it all.

Source: arXiv 2004.12311.
"""

import importlib
import sys
import types
import warnings
from typing import TYPE_CHECKING
from typing import Any

import wrapt

from keras_graft.version import __version__ as __version__

if TYPE_CHECKING:
    from keras_graft import data as data
    from keras_graft import diagnosis as diagnosis
    from keras_graft import distillation as distillation
    from keras_graft import grafting as grafting
    from keras_graft import models as models
    from keras_graft import optimizers as optimizers
    from keras_graft import recognition as recognition
    from keras_graft import swa as swa
    from keras_graft.checkpoint.run_checkpoint import (
        RunCheckpoint as RunCheckpoint,
    )
    from keras_graft.diagnosis import (
        InvalidFilterMonitor as InvalidFilterMonitor,
    )
    from keras_graft.diagnosis import diagnose as diagnose
    from keras_graft.distillation import (
        MutualDistillation as MutualDistillation,
    )
    from keras_graft.distillation import (
        TeacherDistillation as TeacherDistillation,
    )
    from keras_graft.grafting import GraftCallback as GraftCallback
    from keras_graft.structure.replicate import replicate as replicate
    from keras_graft.swa import mean_network as mean_network
    from keras_graft.trainer import GraftTrainer as GraftTrainer

# Resolved on first use: a bad flag is refused before Keras is imported.
_HOME = {
    "GraftTrainer": "trainer",
    "GraftCallback": "grafting",
    "InvalidFilterMonitor": "diagnosis",
    "MutualDistillation": "distillation",
    "TeacherDistillation": "distillation",
    "RunCheckpoint": "checkpoint.run_checkpoint",
    "diagnose": "diagnosis",
    "replicate": "structure.replicate",
    "mean_network": "swa",
}
_MODULES = (
    "data",
    "diagnosis",
    "distillation",
    "grafting",
    "models",
    "optimizers",
    "recognition",
    "swa",
)
# The classes that a saved file may name.
_SAVED = {
    "BackboneRateAdam": "optimizers.backbone_rate",
    "BackboneRateLion": "optimizers.backbone_rate",
    "BackboneRateMuon": "optimizers.backbone_rate",
    "BackboneRateSGD": "optimizers.backbone_rate",
    "BatchHardTriplet": "recognition.losses",
    "CircleLoss": "recognition.losses",
    "CoupledSGD": "optimizers.coupled_sgd",
    "GraftCallback": "grafting",
    "GraftTrainer": "trainer",
    "HeldSchedule": "optimizers.held_schedule",
    "LaterSchedule": "optimizers.later_schedule",
    "InvalidFilterMonitor": "diagnosis",
    "MutualDistillation": "distillation",
    "PeerFeatureDistillation": "distillation",
    "SimilarityDistillation": "recognition.similarities",
    "TeacherDistillation": "distillation",
    "WarmUp": "optimizers.warm_up",
}

__all__ = [*_HOME, *_MODULES]


if not TYPE_CHECKING:  # It would take any name for one of ours.

    def __getattr__(name: str) -> Any:
        if name in _MODULES:
            return importlib.import_module(f"{__name__}.{name}")
        if name in _HOME:
            return getattr(
                importlib.import_module(f"{__name__}.{_HOME[name]}"), name
            )
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


class _NotImportedYet:
    """Stands for a class where Keras looks up what a saved file names.

    The class takes its own place there when its module is imported.
    """

    def __init__(self, name: str, home: str):
        self._place = name, f"{__name__}.{home}"

    def __getattr__(self, attribute: str) -> Any:
        name, home = self._place
        return getattr(getattr(importlib.import_module(home), name), attribute)


class _Moved(types.ModuleType):
    """A module's old name, until 0.3."""

    def __init__(self, old: str, new: str):
        super().__init__(f"{__name__}.{old}", f"Moved to {__name__}.{new}.")
        self.__dict__["new_home"] = f"{__name__}.{new}"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        warnings.warn(
            f"{self.__name__} will go with 0.3: import from {self.new_home}.",
            DeprecationWarning,
            stacklevel=2,
        )
        return getattr(importlib.import_module(self.new_home), name)


# The card of grafting told users to import from it.
sys.modules[f"{__name__}.coupled_sgd"] = _Moved(
    "coupled_sgd", "optimizers.coupled_sgd"
)


@wrapt.when_imported("keras")
def _register(keras: Any) -> None:
    """Lets Keras load files that hold classes of this package."""
    known = keras.saving.get_custom_objects()
    for name, home in _SAVED.items():
        known.setdefault(f"keras_graft>{name}", _NotImportedYet(name, home))


@wrapt.when_imported("keras_graft.trainer.callback_order")
def _serve_backups(callback_order: Any) -> None:
    """Lets `fit` find what stands above it: the checkpoints of a run."""
    keras = importlib.import_module("keras")

    def backup(callback: Any) -> Any:
        # Not before: checkpoints import the trainer, which is half there.
        home = importlib.import_module(f"{__name__}.checkpoint.backups")
        return home.RunBackup(callback)

    callback_order.serve(keras.callbacks.BackupAndRestore, backup)
