"""The page of the studies: tables and figures, made from `results/*.json`.

    python -m keras_graft.compare.tables results/README.md results

writes what stands between the two markers of the page, and a figure beside
each file of records. `make tables` does it.
"""

import hashlib
import os
import pathlib
import sys

from keras_graft.compare import primary
from keras_graft.compare import records
from keras_graft.compare import summary
from keras_graft.compare.figure import LEGEND
from keras_graft.compare.figure import accuracy_against_cost

BEGIN = "<!-- results:begin -->"
END = "<!-- results:end -->"

_NOTHING = "No study has finished yet, so there is no accuracy claim here."


def block(results: pathlib.Path, page: pathlib.Path) -> str:
    """What belongs between the markers.

    Args:
        results: Folder of the records, a file `<study>.json` each.
        page: The file that links to the figures, wherever it lies.
    """
    parts = []
    for path in sorted(results.glob("*.json")):
        found = records.read(path)
        if found:
            picture = _link(page, figure_of(path))
            parts += [
                summary.caption(path.stem, found),
                summary.markdown(found),
                primary.markdown(found),
                f"![Accuracy against training cost]({picture})",
                LEGEND,
            ]
    return "\n\n".join(filter(None, parts)) or _NOTHING


def _link(page: pathlib.Path, target: pathlib.Path) -> str:
    """How Markdown in `page` names a file."""
    return pathlib.Path(os.path.relpath(target, page.parent)).as_posix()


def between_markers(text: str) -> tuple[str, str, str]:
    """Cuts a text at the markers: before, between, after.

    Raises:
        ValueError: If a marker is missing.
    """
    before, begin, rest = text.partition(BEGIN)
    between, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(
            f"There are no lines {BEGIN} and {END} to write between. Put "
            "them where the results belong."
        )
    return before + begin, between, end + after


def figure_of(path: pathlib.Path) -> pathlib.Path:
    """The picture of a file of records."""
    return path.with_suffix(".png")


def fingerprint(path: pathlib.Path) -> str:
    """What a picture says about the records that it was made from."""
    return f"records sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}"


def write(page: pathlib.Path, results: pathlib.Path) -> None:
    """Writes the page's block and the figures."""
    before, _, after = between_markers(page.read_text(encoding="utf-8"))
    for path in sorted(results.glob("*.json")):
        found = records.read(path)
        if found:
            figure = accuracy_against_cost(found, f"Study {path.stem}")
            figure.savefig(
                figure_of(path),
                dpi=130,
                metadata={"Description": fingerprint(path)},
            )
    text = f"{before}\n{block(results, page)}\n{after}"
    page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(
            "Usage: python -m keras_graft.compare.tables results/README.md "
            "results"
        )
    try:
        write(*map(pathlib.Path, sys.argv[1:]))
    except (OSError, ValueError) as error:
        sys.exit(f"Error: {error}")
