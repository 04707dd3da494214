"""Finds flagfiles, the recipes among them, and puts their flags in line.

A flagfile holds one flag a line (`--epochs=20`), empty lines, and comments
(lines that begin with `#` or `//`). A line `--flagfile=other.flags` includes
another. A later flag wins over an earlier one.

`--flagfile=NAME` is looked for as given, then beside the file that includes
it, then among the recipes that ship with the package.
"""

import contextlib
import difflib
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

DEFAULT_RECIPE = "digits.flags"

# Nobody needs as many; a mistake soon has more.
MAX_DEPTH = 50
MAX_FILES = 1000

_PACKAGE = pathlib.Path(__file__).resolve().parents[1]


class Argument(NamedTuple):
    """One command-line argument, and the flagfile that holds it.

    Attributes:
        text: The argument, such as `--epochs=20`.
        source: The flagfile, or None for the command line.
    """

    text: str
    source: pathlib.Path | None


class Expansion(NamedTuple):
    """A command line with the flagfiles' flags in place of `--flagfile`.

    Attributes:
        arguments: All arguments in order.
        files: Every flagfile read, in the order of reading.
        outer: Those of them that the command line itself names.
    """

    arguments: list[Argument]
    files: list[pathlib.Path]
    outer: list[pathlib.Path]


def recipes_folder() -> pathlib.Path:
    """Returns the folder of the recipes.

    That is `keras_graft/recipes` where the package was installed from a
    wheel, and `launch` in a checkout, which has no such folder.
    """
    installed = _PACKAGE / "recipes"
    return installed if installed.is_dir() else _PACKAGE.parent / "launch"


def recipes() -> list[str]:
    """Returns the names of all recipes, such as `paper/dml.flags`, sorted."""
    folder = recipes_folder()
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*.flags")
    )


def find(name: str, included_by: pathlib.Path | None = None) -> pathlib.Path:
    """Finds a flagfile.

    Args:
        name: What follows `--flagfile=`.
        included_by: The flagfile that holds this `--flagfile`, or None for
            the command line.

    Returns:
        The absolute path of the file.

    Raises:
        ValueError: If there is none, with the recipes that there are.
    """
    if not name:
        raise ValueError(
            "--flagfile has no file name. Write --flagfile=FILE, or one of "
            f"the recipes: {', '.join(recipes())}."
        )
    given = _expanded(name)
    # As given: beside the current folder, if there still is one.
    folders = [pathlib.Path()]
    if included_by is not None:
        folders.append(included_by.parent)
    folders.append(recipes_folder())
    for folder in folders:
        # An absolute `given` replaces the folder: it is looked for once.
        # A name that is too long or in a closed folder is no file of ours.
        with contextlib.suppress(OSError):
            if (folder / given).is_file():
                return (folder / given).resolve()
    known = recipes()
    near = difflib.get_close_matches(name[:200], known, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    holder = "" if included_by is None else f", which {included_by} includes"
    said = name if len(name) <= 200 else f"{name[:200]}..."
    raise ValueError(
        f"There is no flagfile {said!r}{holder}.{hint} It was looked for as "
        "given, beside the file that includes it and among the recipes: "
        f"{', '.join(known)}."
    )


def expand(arguments: Sequence[str]) -> Expansion:
    """Puts the flags of every flagfile in the place of its `--flagfile`.

    Without any `--flagfile` the default recipe, `digits.flags`, comes first.

    Args:
        arguments: The command line without the program's name.

    Returns:
        The expansion; none of its arguments is a `--flagfile`.

    Raises:
        ValueError: If a flagfile is missing, cannot be read, holds a line
            that is no flag, or includes itself, or there are too many.
    """
    expansion = Expansion([], [], [])
    words = iter(arguments)
    for word in words:
        name = _flagfile_name(word, words)
        if name is None:
            expansion.arguments.append(Argument(word, None))
        else:
            path = find(name)
            expansion.outer.append(path)
            _read(path, (), expansion)
        if word == "--":
            expansion.arguments.extend(Argument(rest, None) for rest in words)
    if expansion.files:
        return expansion
    default = recipes_folder() / DEFAULT_RECIPE
    first = Expansion([], [], [default])
    _read(default, (), first)
    first.arguments.extend(expansion.arguments)
    return first


def _expanded(name: str) -> pathlib.Path:
    try:
        return pathlib.Path(name).expanduser()
    except RuntimeError:
        # `~` of a user whom this host does not know.
        return pathlib.Path(name)


def _flagfile_name(word: str, following) -> str | None:
    """Returns the file that a word of the command line asks for, or None."""
    flag, equals, name = word.partition("=")
    if flag not in ("--flagfile", "-flagfile"):
        return None
    return name.strip() if equals else next(following, "")


def _read(
    path: pathlib.Path, chain: tuple[pathlib.Path, ...], expansion: Expansion
) -> None:
    """Appends the flags of a file, and of those it includes, to `expansion`."""
    if path in chain:
        circle = " includes ".join(str(file) for file in (*chain, path))
        raise ValueError(
            f"Flagfiles include each other in a circle: {circle}. Take one "
            "of these --flagfile lines out."
        )
    if len(chain) >= MAX_DEPTH or len(expansion.files) >= MAX_FILES:
        raise ValueError(
            f"More than {MAX_DEPTH} flagfiles include each other in a row, or "
            f"more than {MAX_FILES} are read in all, the last one {path}. "
            "Take --flagfile lines out."
        )
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(
            f"The flagfile {path} cannot be read as text: {error}"
        ) from error
    expansion.files.append(path)
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.strip()
        if not line or line.startswith(("#", "//")):
            continue
        flag, equals, value = line.partition("=")
        if not line.startswith("-") or (not equals and len(line.split()) > 1):
            raise ValueError(
                f"Line {number} of {path} is no flag: {line!r}. A line is a "
                "flag with its value (--epochs=20), a switch (--nograft), a "
                "comment (# ...) or empty."
            )
        if flag in ("--flagfile", "-flagfile"):
            _read(find(value.strip(), path), (*chain, path), expansion)
        else:
            expansion.arguments.append(Argument(line, path))
