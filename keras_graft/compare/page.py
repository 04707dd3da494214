"""A page for a person: sections of text, lists and tables, in two forms."""

import html
from collections.abc import Sequence
from typing import NamedTuple

from keras_graft.structure.printable import printable


class Table(NamedTuple):
    """A table; the first cell of a row names it."""

    head: tuple[str, ...]
    rows: list[tuple[str, ...]]


class Code(NamedTuple):
    """Something to type."""

    text: str


class Points(NamedTuple):
    """A list of sentences."""

    texts: list[str]


class Section(NamedTuple):
    """What stands under a heading."""

    heading: str
    parts: list[str | Table | Code | Points]


def markdown(sections: Sequence[Section]) -> str:
    """The page for a terminal, or a file `.md`."""
    found = []
    for section in sections:
        found.append(f"## {section.heading}")
        found += [_markdown(part) for part in section.parts]
    return printable("\n\n".join(found), kept="\n")


def as_html(sections: Sequence[Section]) -> str:
    """The page as a part of an HTML page; names in ` ` become code."""
    found = []
    for section in sections:
        found.append(f"<h2>{html.escape(section.heading)}</h2>")
        found += [_html(part) for part in section.parts]
    return "\n".join(found)


def _markdown(part):
    if isinstance(part, Code):
        return f"```\n{part.text}\n```"
    if isinstance(part, Points):
        return "\n".join(f"- {text}" for text in part.texts)
    if isinstance(part, Table):
        lines = [part.head, ("---",) * len(part.head), *part.rows]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return part


def _html(part):
    if isinstance(part, Code):
        return f"<pre>{html.escape(part.text)}</pre>"
    if isinstance(part, Points):
        items = "".join(f"<li>{_inline(text)}</li>" for text in part.texts)
        return f"<ul>{items}</ul>"
    if isinstance(part, Table):
        rows = [_row("th", part.head), *(_row("td", r) for r in part.rows)]
        return f"<div><table>{''.join(rows)}</table></div>"
    return f"<p>{_inline(part)}</p>"


def _row(tag, cells):
    inside = "".join(f"<{tag}>{_inline(cell)}</{tag}>" for cell in cells)
    return f"<tr>{inside}</tr>"


def _inline(text):
    pieces = html.escape(text).split("`")
    for i in range(1, len(pieces), 2):
        pieces[i] = f"<code>{pieces[i]}</code>"
    return "".join(pieces)
