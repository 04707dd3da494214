"""The tables of a run: written whole, and read with their errors named."""

import contextlib
import csv
import io
import pathlib
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence

from keras_graft.checks.plain_files import read_plain
from keras_graft.runs.exit_codes import RunError
from keras_graft.runs.whole_files import write_atomically


def write_table(path: pathlib.Path, rows: Iterable[Sequence]) -> None:
    """Writes a whole table or, if that fails, leaves the old one alone.

    Args:
        path: The CSV file.
        rows: Its lines, names of the columns first where it has them.
    """
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    write_atomically(path, text.getvalue())


@contextlib.contextmanager
def table_of(
    path: pathlib.Path,
    remedy: str = "Move it away: the same command goes on without it.",
) -> Iterator[Iterator[list[str]]]:
    """The rows of a table, and errors in the reading of it named.

    Args:
        path: The CSV file.
        remedy: What to do if it cannot be read.

    Raises:
        RunError: If it cannot be read, or what is made of it in the block
            raises a ValueError.
    """
    try:
        text = read_plain(path).decode("utf-8")
        yield csv.reader(io.StringIO(text, newline=""))
    except (OSError, ValueError, csv.Error) as error:
        raise RunError(f"{path} cannot be read ({error}). {remedy}") from error
