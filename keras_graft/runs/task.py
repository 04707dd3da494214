"""What a run is for: one object that knows what is of its task alone.

| task | module |
| --- | --- |
| `classification` | `classification` |
| `recognition` | `recognition` |

The life of a run (`run`) is the same for all of them.
"""

import abc
import functools
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import ClassVar

import keras
import numpy as np

from keras_graft.data.splits import SourceFile
from keras_graft.runs.batches import check_division
from keras_graft.runs.results import Measured
from keras_graft.trainer import GraftTrainer


class Task(abc.ABC):
    """Images of a run, the networks for them, and how these are judged.

    Args:
        settings: The run's flags.

    Attributes:
        score: What networks are compared by: `val_network_<k>_<score>` are
            logs.
        files: The files that images were read from, if from files.

    Raises:
        ValueError: If the images are not such as the task needs.
    """

    score: ClassVar[str]

    def __init__(self, settings: Any):
        self.settings = settings
        self.files: Sequence[SourceFile] = ()

    @functools.cached_property
    def steps_per_epoch(self) -> int:
        """Number of batches in an epoch."""
        return self.training_data.steps_per_epoch

    def check_division(self, devices: int) -> None:
        """Refuses batches and steps that do not come out even.

        Args:
            devices: Devices that share a step.

        Raises:
            ValueError: If they do not.
        """
        check_division(self.settings, self.steps_per_epoch, devices)

    @property
    @abc.abstractmethod
    def training_data(self) -> Any:
        """The batches to train on: an `EpochDataset` that knows its steps."""

    @property
    @abc.abstractmethod
    def num_evaluated(self) -> int:
        """Images that every network looks at after each epoch."""

    @abc.abstractmethod
    def checksum(self) -> int:
        """A number that other images or labels have not."""

    @abc.abstractmethod
    def described(self) -> list[str]:
        """Sentences about the images: their numbers, what is out of line."""

    @abc.abstractmethod
    def make_trainer(self) -> GraftTrainer:
        """Networks and optimizers, compiled, in the current strategy's scope.

        Raises:
            RunError: If a file that a flag names cannot be used.
            ValueError: If the settings do not fit the images.
        """

    def unfreeze(self, trainer: GraftTrainer) -> None:
        """Lets everything in a trainer learn that `--freeze` kept."""
        raise NotImplementedError

    @abc.abstractmethod
    def validation_data(self) -> Any:
        """What `fit` validates on, or None where `judges` do."""

    @abc.abstractmethod
    def judges(self) -> list[keras.callbacks.Callback]:
        """Callbacks that judge the networks, beside `validation_data`."""

    @abc.abstractmethod
    def compared_on(self, count: int) -> tuple[np.ndarray, str | None]:
        """Images on which predictions of the networks are compared.

        Args:
            count: How many at most.

        Returns:
            `(images, output)`: the output of the networks that has logits,
            or None where there is one output.
        """

    @abc.abstractmethod
    def tested(self, trainer: GraftTrainer) -> dict[str, float]:
        """`network_<k>_<score>` and `ensemble_<score>` on the test images."""

    @abc.abstractmethod
    def mean_tested(self, network: keras.Model) -> dict[str, float]:
        """`<score>` of the mean of all networks on the test images."""

    @abc.abstractmethod
    def prepare_file(self, network: keras.Model) -> None:
        """Lets plain Keras use the file of a network as it is loaded."""

    @abc.abstractmethod
    def shipped(self, network: keras.Model) -> keras.Model:
        """What is shipped of a trained network."""

    @abc.abstractmethod
    def results(self, measured: Measured, shipped: keras.Model) -> Any:
        """What is in `results.json`."""

    @abc.abstractmethod
    def summary(
        self, found: Any, measured: Measured, before: list[int], path: Any
    ) -> str:
        """What a person wants to know when a run ends.

        Args:
            found: What `results` returned.
            measured: What was measured of the run.
            before: Invalid filters of each network before training.
            path: The shipped network's file.
        """

    @abc.abstractmethod
    def report(
        self,
        found: Any,
        measured: Measured,
        coefficients: Mapping,
        flags_text: str,
        shipped: keras.Model,
    ) -> str:
        """`report.html`; `coefficients` as for `run_report.report_html`."""

    @abc.abstractmethod
    def card(self, found: Any) -> str:
        """`card.md`."""

    def exported(self, found: Any, directory: Any) -> Any:
        """Writes what `--export` names; `found` with what was written."""
        del directory
        return found

    def beside_shipped(self, found: Any) -> dict[str, Any] | None:
        """What `classes.json` holds, or None for no such file."""
        del found
        return None


def read_task(settings: Any) -> Task:
    """Reads what a run is to be trained on.

    Args:
        settings: The run's flags.

    Raises:
        DataUnavailableError: If the data is not there.
        MissingPackageError: If a package that reads it is not installed.
        ValueError: If it cannot be used.
    """
    if settings.task == "recognition":
        from keras_graft.runs.recognition import Recognition

        return Recognition(settings)
    from keras_graft.runs.classification import Classification

    return Classification(settings)
