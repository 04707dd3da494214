"""The files of a run, and which run a folder holds."""

import contextlib
import errno
import os
import pathlib
import re
from collections.abc import Sequence
from typing import Annotated
from typing import Any

import msgspec

from keras_graft.checkpoint.files import checkpoint_paths
from keras_graft.checkpoint.manifest import CheckpointError
from keras_graft.checkpoint.strict_json import ContentError
from keras_graft.checkpoint.strict_json import parse
from keras_graft.checks.plain_files import other_kind
from keras_graft.checks.plain_files import read_plain
from keras_graft.runs.changed_flags import flag_values
from keras_graft.runs.changed_flags import refuse_changes
from keras_graft.runs.changed_flags import refuse_fewer_epochs
from keras_graft.runs.exit_codes import CHECKPOINT_UNUSABLE
from keras_graft.runs.exit_codes import RunError
from keras_graft.runs.lock import LOCK
from keras_graft.runs.lock import is_lock
from keras_graft.runs.whole_files import is_unfinished
from keras_graft.runs.whole_files import is_whole
from keras_graft.runs.whole_files import remove
from keras_graft.structure.printable import printable

_NETWORK = re.compile(r"network_\d+\.keras")
# What the usual file systems take, on every platform.
_NAME_BYTES = 255
_FOLDER = "a folder"
_GONE = "gone or damaged"


class _Results(msgspec.Struct):
    """What is read of `results.json`."""

    epochs: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]


class RunDirectory:
    """Paths of a run's files; nothing is made before `create`.

    Args:
        path: The folder.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = pathlib.Path(path)
        self.flags = self.path / "flags.txt"
        self.history = self.path / "history.csv"
        self.coefficients = self.path / "coefficients.csv"
        self.results = self.path / "results.json"
        self.report = self.path / "report.html"
        self.shipped = self.path / "shipped.keras"
        self.card = self.path / "card.md"
        self.classes = self.path / "classes.json"
        self.images = self.path / "images.csv"
        self.given = self.path / "given.json"
        self.saved_model = self.path / "shipped_saved_model"
        self.onnx = self.path / "shipped.onnx"
        self.litert = self.path / "shipped.tflite"
        self.litert_int8 = self.path / "shipped_int8.tflite"
        self.tensorboard = self.path / "tensorboard"
        self.wandb = self.path / "wandb"
        self.mlflow = self.path / "mlflow"
        self.checkpoints = self.path / "checkpoints"
        self._folders = (
            self.saved_model,
            self.tensorboard,
            self.wandb,
            self.mlflow,
            self.checkpoints,
        )
        # Files of a finished run that `is_finished` did not find.
        self.gone: list[str] = []

    def networks(self, count: int) -> list[pathlib.Path]:
        """The files of so many networks."""
        return [self.path / f"network_{k}.keras" for k in range(count)]

    def _own_paths(self):
        """All that a run writes, but for its networks."""
        paths = [p for p in vars(self).values() if isinstance(p, pathlib.Path)]
        return [path for path in paths if path != self.path]

    def exports(self, formats: Sequence[str]) -> list[pathlib.Path]:
        """What is written for `--export`."""
        by_format = {
            "saved_model": [self.saved_model],
            "onnx": [self.onnx],
            "litert": [self.litert, self.litert_int8],
        }
        return [path for name in formats for path in by_format[name]]

    def is_finished(self, settings: Any, flags_text: str) -> bool:
        """Looks at what the folder holds, before anything is made.

        Args:
            settings: The flags of the run to start.
            flags_text: The same as a flagfile.

        Returns:
            Whether this very run is finished there, with all of its files.

        Raises:
            RunError: If the folder holds a run with other flags or more
                epochs, or `--resume` rules out what it holds, or it cannot
                be read or written.
        """
        try:
            self._check_writable()
            return self._is_finished(settings, flags_text)
        except OSError as error:
            raise RunError(
                f"--workdir={shortened(self.path)} cannot be used: "
                f"{error.strerror or error}. Give another --workdir."
            ) from error
        except CheckpointError as error:
            raise RunError(str(error), CHECKPOINT_UNUSABLE) from error

    def _is_finished(self, settings, flags_text):
        self._refuse_other_kinds(settings.num_networks)
        if settings.resume == "must" and not checkpoint_paths(self.checkpoints):
            raise RunError(
                f"--resume=must, but there is no checkpoint in {self.path}. "
                "Check --workdir, or leave --resume out to start a run."
            )
        if not self.flags.exists():
            self._refuse_folder_of_all()
            self._refuse_files_of_others()
            return False
        if settings.resume == "never":
            raise RunError(
                f"--resume=never, but {self.path} holds a run. Give another "
                "--workdir, or move that folder away."
            )
        refuse_changes(self.path, self._flags_before(), flags_text)
        if self.finished_epochs(settings.epochs) != settings.epochs:
            return False
        self.gone = self._names_that_are_gone(settings)
        if self.gone and not checkpoint_paths(self.checkpoints):
            raise RunError(
                f"The run in {self.path} is finished, but {_some(self.gone)} "
                f"is {_GONE}, and there is no checkpoint to make it from. "
                "Bring it back, or give another --workdir to train once more.",
                CHECKPOINT_UNUSABLE,
            )
        return not self.gone

    def _refuse_other_kinds(self, num_networks):
        """Refuses a pipe, a folder or the like in the place of a file."""
        for path in (*self._own_paths(), *self.networks(num_networks)):
            kind = other_kind(path)
            if path in self._folders:
                if os.path.exists(path) and kind != _FOLDER:
                    raise RunError(
                        f"{path} is {kind or 'a file'}, and a run has a folder "
                        "there. Move it away, or give another --workdir."
                    )
            elif kind is not None:
                raise RunError(
                    f"{path} is {kind}, and a run has a file there. Move it "
                    "away, or give another --workdir."
                )

    def _flags_before(self):
        """The flags of the run that the folder holds."""
        try:
            text = read_plain(self.flags).decode("utf-8")
            reason = "it names no --dataset"
        except UnicodeDecodeError as error:
            text, reason = "", str(error)
        if "dataset" not in flag_values(text):
            raise RunError(
                f"{self.flags} does not hold the flags of a run ({reason}). "
                "Move it away: the checkpoints, if there are any, hold them "
                "too. Or give another --workdir."
            )
        return text

    def _names_that_are_gone(self, settings):
        """What a finished run has and this one has not."""
        paths = [
            self.history,
            self.report,
            self.shipped,
            *self.networks(settings.num_networks),
            *self.exports(settings.export),
        ]
        return [path.name for path in paths if not is_whole(path)]

    def finished_epochs(self, epochs: int) -> int:
        """Epochs of the finished run that the folder holds, or 0.

        Args:
            epochs: The epochs that are asked for.

        Raises:
            RunError: If it has more than them.
        """
        try:
            done = parse(read_plain(self.results), _Results).epochs
        except FileNotFoundError:
            return 0
        except (OSError, ContentError) as error:
            raise RunError(
                f"{self.results} cannot be read ({error}). Move it away: the "
                "run is then ended once more from its last checkpoint."
            ) from error
        refuse_fewer_epochs(self.path, done, epochs)
        return done

    def create(self) -> None:
        """Makes the folder, or says what is gone or of others in it."""
        self.path.mkdir(parents=True, exist_ok=True)
        if self.gone:
            print(
                f"This run is finished, but {_some(self.gone)} is {_GONE}: the "
                "run is ended once more from its newest checkpoint."
            )
        if self._holds_a_run():
            return
        others = self._names_of_others()
        if others:
            print(
                f"{printable(str(self.path))} holds no run, but "
                f"{_some(others)}. That is left as it is."
            )

    def remove_stale(self) -> None:
        """Removes what a process of ours that died while writing left."""
        for path in self.path.iterdir():
            if is_unfinished(path):
                remove(path)

    def _holds_a_run(self):
        return self.flags.exists() or bool(checkpoint_paths(self.checkpoints))

    def _names_of_others(self):
        """What lies in the folder and is no trace of a run of ours."""
        if not self.path.is_dir():
            return []
        return sorted(
            path.name
            for path in self.path.iterdir()
            if not is_unfinished(path)
            and not (path.name == LOCK and is_lock(path))
            # A run that was killed early leaves it so.
            if path != self.checkpoints or any(path.iterdir())
        )

    def _refuse_folder_of_all(self):
        """Refuses to strew a run's files over a system or a home."""
        here = self.path.resolve()
        homes = []
        with contextlib.suppress(RuntimeError):
            home = pathlib.Path.home().resolve()
            homes = [home, *home.parents]
        if (here in homes or here == here.parent) and not self._holds_a_run():
            raise RunError(
                f"--workdir={self.path} is no folder of a run's own: a run "
                "writes some twenty files into it. Give a folder below it, "
                f"such as --workdir={self.path / 'runs' / 'first'}."
            )

    def _refuse_files_of_others(self):
        """Refuses a folder without a run whose files a run would replace."""
        if self._holds_a_run():
            return
        own = {path.name for path in self._own_paths()}
        replaced = [
            name
            for name in self._names_of_others()
            if name in own or _NETWORK.fullmatch(name)
        ]
        if replaced:
            raise RunError(
                f"{self.path} holds no run (it has no {self.flags.name} and no "
                f"checkpoint), but {_some(replaced)}, which a run would "
                "replace. Give another --workdir, or move that away."
            )

    def _check_writable(self):
        # The system looks at the whole at once, and at a part only when it
        # comes to it.
        if any(len(os.fsencode(p)) > _NAME_BYTES for p in self.path.parts):
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            os.lstat(self.checkpoints / ("x" * _NAME_BYTES))
        folder = self.path
        while not folder.exists():
            folder = folder.parent
        if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
            raise RunError(
                f"--workdir={self.path} cannot be written: {folder} is not a "
                "folder that this user may write. Give another --workdir."
            )


def shown(path: str | os.PathLike) -> str:
    """A path for a person, as it can be printed."""
    return printable(os.fspath(path))


def shortened(path: str | os.PathLike, most: int = 200) -> str:
    """A path for a message, without its middle where it is very long."""
    text = os.fspath(path)
    if len(text) <= most:
        return text
    return f"{text[: most - 60]}...{text[-57:]}"


def _some(names, most=5):
    """A list for a person, however long it is."""
    more = len(names) - most
    named = printable(", ".join(names[:most]))
    return f"{named} and {more} more" if more > 0 else named
