"""The files of a run, and which run a folder holds."""

import os
import pathlib

from keras_graft.runs.exit_codes import RunError

# What may change between two starts of one run.
_NOT_THE_RUN = ("workdir", "resume", "plan")


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
        self.tensorboard = self.path / "tensorboard"

    def network(self, k: int) -> pathlib.Path:
        """The file of network k."""
        return self.path / f"network_{k}.keras"

    def refuse_another_run(self, flags_text: str, resume: str) -> bool:
        """Looks at what the folder holds, before anything is made.

        Args:
            flags_text: The flags of the run to start.
            resume: The flag `--resume`.

        Returns:
            Whether this very run is finished there.

        Raises:
            RunError: If the folder holds a run with other flags, or a run
                that `resume` rules out, or cannot be written.
        """
        self._check_writable()
        if not self.flags.exists():
            if resume == "must":
                raise RunError(
                    f"--resume=must, but there is no run in {self.path}. "
                    "Check --workdir, or leave --resume out to start one."
                )
            return False
        if resume == "never":
            raise RunError(
                f"--resume=never, but {self.path} holds a run. Give another "
                "--workdir, or move that folder away."
            )
        different = differences(
            self.flags.read_text(encoding="utf-8"), flags_text
        )
        if different:
            raise RunError(
                f"{self.path} holds a run with other flags:\n  "
                + "\n  ".join(different)
                + "\nGive another --workdir, or the same flags."
            )
        return self.results.exists()

    def create(self, flags_text: str) -> None:
        """Makes the folder and writes the flags into it."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_atomically(self.flags, flags_text)

    def _check_writable(self):
        folder = self.path
        while not folder.exists():
            folder = folder.parent
        if not folder.is_dir() or not os.access(folder, os.W_OK):
            raise RunError(
                f"--workdir={self.path} cannot be written: {folder} is not a "
                "folder that this user may write. Give another --workdir."
            )


def differences(before: str, now: str) -> list[str]:
    """Lines `--flag: before -> now` for the flags that differ.

    Args:
        before: A flagfile's text, one flag a line.
        now: Another one.

    Returns:
        Sorted lines; empty if both describe one run.
    """
    old, new = _flags(before), _flags(now)
    return [
        f"--{name}: {old.get(name, 'not set')} -> {new.get(name, 'not set')}"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name) and name not in _NOT_THE_RUN
    ]


def _flags(text):
    flags = {}
    for line in text.split("\n"):
        if line.startswith("--"):
            name, equals, value = line[2:].partition("=")
            flags[name] = value if equals else "yes"
    return flags


def write_atomically(path: pathlib.Path, text: str) -> None:
    """Writes a whole file or, if that fails, leaves the old one alone."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
