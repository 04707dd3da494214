"""Sides that are described by a text, such as `trainer --jit`.

A text is read like a line of a shell:

    [NAME=VALUE ...] KIND [FLAG ...] [@FOLDER]

| kind | what takes the steps | flags |
| --- | --- | --- |
| `trainer` | N networks, as `launch` trains them | those of `launch` |
| `resident` | the same; images lie on the device and are augmented there | the same |
| `fit` | a plain Keras fit of one network | `--[no]jit`, `--precision`, `--steps_per_execution` |
| `pytorch` | a bare PyTorch loop of one network on one batch that is there | `--compile`, `--channels_last`, `--precision` |

`NAME=VALUE` sets a variable of the side's environment. `@FOLDER` has another
version of the project, whose own benchmarks take the steps.
"""  # noqa: E501

import dataclasses
import importlib.util
import os
import pathlib
import re
import shlex
from typing import Any

from measuring.epochs import keras_side
from measuring.side import Side
from measuring.workload import Workload

# By kind: the flags that it takes; None: those of `launch`.
_FLAGS = {
    "trainer": None,
    "resident": None,
    "fit": ("jit", "nojit", "precision", "steps_per_execution"),
    "pytorch": ("compile", "channels_last", "precision"),
}
_PRECISIONS = ("float32", "bfloat16")
_PRECISION = "--precision="


@dataclasses.dataclass(frozen=True)
class Described:
    """What a text describes.

    Attributes:
        kind: One of those above.
        flags: Its flags, as they were given.
        variables: Of its environment.
        root: Folder of another version of the project, or None.
    """

    kind: str
    flags: tuple[str, ...] = ()
    variables: dict[str, str] = dataclasses.field(default_factory=dict)
    root: pathlib.Path | None = None

    def count(self, workload: Workload) -> int:
        """Steps taken for one: as many images in all on every side."""
        trains_all = self.kind in ("trainer", "resident")
        return 1 if trains_all else workload.networks

    def start(self, workload: Workload, folder: pathlib.Path) -> Side:
        """Starts the side.

        Args:
            workload: What it trains.
            folder: For its log and checkpoints; made here.
        """
        if self.kind == "pytorch":
            return self._start_pytorch(workload, folder)
        return keras_side(
            self.kind,
            dataclasses.replace(workload, flags=self.flags),
            folder,
            self.root,
            self.variables,
        )

    def steps(self, count: int) -> dict[str, Any]:
        """The request for so many steps."""
        request = {"do": "steps", "count": count}
        if self.kind == "pytorch":
            request["mode"] = {
                "threads": os.cpu_count(),
                "channels_last": "--channels_last" in self.flags,
                "tokens": False,
            }
        return request

    def _start_pytorch(self, workload, folder):
        folder.mkdir(parents=True)
        for flag in self.flags:
            if flag.startswith(_PRECISION):
                workload = dataclasses.replace(
                    workload, precision=flag.removeprefix(_PRECISION)
                )
        return Side(
            "torch_side",
            {
                "workload": workload.config(),
                "compiled": "--compile" in self.flags,
                "folder": str(folder),
                "position": 0,
                "tokens": (0, 0),
            },
            folder / "log.txt",
            variables=self.variables,
        )


def described(text: str) -> Described:
    """Reads a text.

    Raises:
        ValueError: If it describes no side, or one that cannot run here.
    """
    words = shlex.split(text)
    variables = {}
    while words and re.match(r"[A-Z]\w*=", words[0]):
        name, _, value = words.pop(0).partition("=")
        variables[name] = value
    kind, *words = words or [""]
    if kind not in _FLAGS:
        raise ValueError(
            f"begins with one of {', '.join(_FLAGS)}, after variables of its "
            f"environment. Received: {text!r}."
        )
    flags = tuple(word for word in words if not word.startswith("@"))
    folders = [pathlib.Path(w[1:]).resolve() for w in words if w[0] == "@"]
    _check_flags(kind, flags, text)
    for folder in folders:
        benchmarks = folder / "benchmarks" / "measuring"
        if not benchmarks.is_dir():
            raise ValueError(
                f"names a whole version of the project after @, and "
                f"{benchmarks} is no folder. Received: {text!r}."
            )
        if kind == "pytorch" or (kind == "fit" and flags):
            raise ValueError(
                "takes @ and a folder for trainer, or fit without flags. "
                f"Received: {text!r}."
            )
    if kind == "pytorch" and importlib.util.find_spec("torch") is None:
        raise ValueError(
            "needs PyTorch for this side, which is not installed: "
            f"pip install -e '.[bench]'. Received: {text!r}."
        )
    return Described(kind, flags, variables, folders[-1] if folders else None)


def _check_flags(kind, flags, text):
    known = _FLAGS[kind]
    if known is None:
        return  # `launch` refuses what it does not know.
    for flag in flags:
        name, _, value = flag.removeprefix("--").partition("=")
        if name not in known or not flag.startswith("--"):
            raise ValueError(
                f"takes for {kind} the flags --{', --'.join(known)} only. "
                f"Received: {text!r}."
            )
        if name == "precision" and value not in _PRECISIONS:
            raise ValueError(
                f"takes --precision={' or '.join(_PRECISIONS)}. "
                f"Received: {text!r}."
            )
