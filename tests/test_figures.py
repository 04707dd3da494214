"""Figures in README and in the findings: a record or a measurement has each.

Tables between the markers of results/README.md are made from the records, and
`tests/compare/test_tables.py` holds them to that. Here a difference with its
interval has to be a cell of these tables, and any other figure has to stand in
the studies or in the benchmarks, in one paragraph or row with those beside it.
"""

import pathlib
import re

import pytest

from keras_graft.compare import tables

ROOT = pathlib.Path(__file__).resolve().parents[1]
RESULTS = (ROOT / "results" / "README.md").read_text("utf-8")
BENCHMARKS = (ROOT / "benchmarks" / "README.md").read_text("utf-8")
README = (ROOT / "README.md").read_text("utf-8")

FIGURE = r"[+-]?\d+\.\d+"
# 1.2 (0.7 to 1.8), 0.8 behind (-1.7 to +0.2), +0.4, -0.2 to 0.9
DIFFERENCE = re.compile(
    rf"({FIGURE})[\w\s`]*[(,](?:95 % interval )?\s*({FIGURE}) to ({FIGURE})"
)
TOGETHER = re.compile(rf"({FIGURE})(?: (?:to|±) ({FIGURE}))?")
CELL = re.compile(rf"({FIGURE}) \[({FIGURE}), ({FIGURE})\]")


def prose(text):
    """A page without code, addresses, its tables' records and versions."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"`[^`]*`|\]\([^)]*\)|https?:\S+", "", text)
    return re.sub(r"(?:Python|arXiv|Apache-|TensorFlow) ?\d+\.\d+", "", text)


def is_rounded(shown, exact, signed=False):
    """Whether one figure is another with fewer digits.

    Unless `signed`, words may stand for its sign: 0.8 behind is -0.76.
    """
    digits = len(shown.partition(".")[2])
    step = 10.0**-digits
    # A half may have gone either way, since the exact one is rounded, too.
    gaps = [abs(float(shown) - float(exact))]
    if not signed and shown[0] not in "+-":
        gaps.append(abs(float(shown) + float(exact)))
    return min(gaps) <= step / 2 + 1e-9


def unsupported(page, cells, paragraphs):
    """Returns the figures of a page that nothing holds."""
    text = prose(page)
    missing = []
    for match in DIFFERENCE.finditer(text):
        if not any(
            all(map(is_rounded, match.groups(), cell, (False, True, True)))
            for cell in cells
        ):
            missing.append(match[0])
    for match in TOGETHER.finditer(DIFFERENCE.sub("", text)):
        shown = [figure for figure in match.groups() if figure]
        if not any(
            all(any(is_rounded(s, e) for e in exact) for s in shown)
            for exact in paragraphs
        ):
            missing.append(match[0])
    return missing


def held(page):
    """What a page holds: cells of its records, and figures together."""
    cells = []
    if page is RESULTS:
        _, between, _ = tables.between_markers(RESULTS)
        cells = CELL.findall(between)
    pieces = re.split(r"\n\n|\n(?=[-|])", page)
    return cells, [re.findall(FIGURE, piece) for piece in pieces]


def unsupported_in_readme(text):
    """What README says of costs is measured, the rest is in the studies."""
    before, head, rest = text.partition("## What it costs\n")
    assert head
    costs, next_head, after = rest.partition("\n## ")
    return unsupported(before + next_head + after, *held(RESULTS)) + (
        unsupported(costs, *held(BENCHMARKS))
    )


def test_readme_has_no_figure_that_no_record_holds():
    assert len(DIFFERENCE.findall(prose(README))) >= 4
    assert unsupported_in_readme(README) == []


def test_findings_are_what_the_tables_say():
    section = RESULTS.partition("## What came out")[2].partition("\n## ")[0]
    found = DIFFERENCE.findall(prose(section))
    assert len(found) >= 3
    cells, _ = held(RESULTS)
    assert unsupported(section, cells, [re.findall(FIGURE, section)]) == []


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("+1.2 (0.7 to 1.8)", "+1.3 (0.7 to 1.8)"),
        ("(-1.7 to +0.2)", "(-1.7 to +0.3)"),
        ("+0.4, -0.2 to 0.9", "+0.4, 0.2 to 0.9"),
        ("**1.25 to 1.40**", "**1.25 to 1.94**"),
        ("**0.76** of the speed", "**0.67** of the speed"),
        ("0.1 to 0.5 % of the filters", "0.1 to 8.8 % of the filters"),
    ],
)
def test_a_figure_that_was_altered_is_found(right, wrong):
    assert right in README
    altered = README.replace(right, wrong)
    (found,) = unsupported_in_readme(altered)
    assert set(re.findall(FIGURE, found)) >= set(
        re.findall(FIGURE, wrong)
    ) - set(re.findall(FIGURE, right))
