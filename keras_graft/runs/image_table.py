"""`images.csv`: which files a run reads, and that they stay the same.

A run that goes on with other images is another run, although every flag is
the same.
"""

import pathlib
from collections.abc import Iterable
from collections.abc import Sequence

from keras_graft.data.splits import SourceFile
from keras_graft.runs.csv_tables import table_of
from keras_graft.runs.csv_tables import write_table
from keras_graft.runs.exit_codes import RunError
from keras_graft.structure.printable import printable

# Files of each kind that a message names.
_NAMED = 5


def write(path: pathlib.Path, files: Sequence[SourceFile]) -> None:
    """Writes the table; nothing where a dataset has no files.

    Args:
        path: `images.csv` of the run directory.
        files: The files of the run.
    """
    if files:
        write_table(path, [SourceFile._fields, *_rows(files)])


def refuse_other_images(
    path: pathlib.Path, files: Sequence[SourceFile]
) -> None:
    """Refuses to go on with other images than those a run began with.

    Args:
        path: `images.csv` of the run directory; it need not exist.
        files: The files as they are now.

    Raises:
        RunError: If files have come, gone or changed, or the table cannot
            be read.
    """
    if not files or not path.exists():
        return
    remedy = "Restore it, or give another --workdir."
    with table_of(path, remedy) as (head, *rows):
        if tuple(head) != SourceFile._fields:
            raise ValueError(f"its first line is {','.join(head)}")
        before = {n: SourceFile(s, c, n, d) for s, c, n, d in rows}
    now = {row.name: row for row in _rows(files)}
    both = [name for name in now if name in before]
    found = [
        _named("new", [name for name in now if name not in before]),
        _named("gone", [name for name in before if name not in now]),
        _named(
            "with other pixels",
            [n for n in both if now[n].digest != before[n].digest],
        ),
        _named(
            "in another split",
            [n for n in both if now[n].split != before[n].split],
        ),
    ]
    lines = "".join(f"\n  {line}" for line in found if line)
    if lines:
        raise RunError(
            f"The images of the run in {path.parent} have changed since it "
            f"began:{lines}\nBring them back as {path.name} lists them, or "
            "give another --workdir to train on what is there now."
        )


def _rows(files: Iterable[SourceFile]) -> list[SourceFile]:
    # A table holds one file a line, whatever is in their names.
    return [SourceFile(*map(printable, file)) for file in files]


def _named(what: str, names: Sequence[str]) -> str:
    if not names:
        return ""
    more = len(names) - _NAMED
    text = f"{len(names)} {what}: {', '.join(names[:_NAMED])}"
    return f"{text} and {more} more" if more > 0 else text
