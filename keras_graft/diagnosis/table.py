"""Reports as text: columns that line up."""

import textwrap
from collections.abc import Sequence

WIDTH = 80


def aligned(rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Lines up the cells of a table.

    Args:
        rows: Rows of equally many cells, the header first.
        left: How many columns, from the first on, are aligned to the left;
            the others are numbers.

    Returns:
        One line per row.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def number(value: float | int | None) -> str:
    """A cell: counts as they are, measurements with four digits, `-`."""
    if value is None:
        return "-"
    if isinstance(value, int):
        return f"{value:,}"
    if 0 < abs(value) < 5e-4:
        return f"{value:.1e}"
    return f"{value:.3f}"


def counted(count: int, thing: str) -> str:
    """Such as `"1 layer"` and `"2,032 filters"`."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def paragraph(text: str) -> str:
    """Text broken into lines of 80."""
    return textwrap.fill(text, WIDTH)
