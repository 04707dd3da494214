"""`report.html`: a study on one page, pictures inside."""

import base64
import html
import io
import pathlib
from collections.abc import Sequence

from matplotlib.figure import Figure

from keras_graft.compare import summary
from keras_graft.compare.arms import RIVALS
from keras_graft.compare.figure import LEGEND
from keras_graft.compare.figure import accuracy_against_cost
from keras_graft.compare.records import Record
from keras_graft.compare.statistics import paired_difference
from keras_graft.runs.whole_files import write_atomically

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 76rem;
       margin: 2rem auto; padding: 0 1rem; color: #222; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
table { border-collapse: collapse; font-size: .85rem; }
td, th { padding: .25rem .6rem; text-align: right;
       border-bottom: 1px solid #ddd; }
td:first-child, th:first-child { text-align: left; }
td + td { white-space: nowrap; } div { overflow-x: auto; }
th:first-child { min-width: 13rem; }
img { max-width: 100%; }
pre { background: #f5f5f5; padding: .8rem; overflow-x: auto; }
"""


_SEEDS_ALONE = (
    "From here on intervals are about other seeds alone, so they are narrower "
    "than those above, which are about other images too."
)


def write(
    path: pathlib.Path,
    name: str,
    records: Sequence[Record],
    advice: str = "",
) -> None:
    """Writes the page of a study.

    Args:
        path: The file.
        name: Name of the study.
        records: At least one.
        advice: HTML that goes before everything else.
    """
    records = summary.ordered(records)
    title = f"Study {name}"
    parts = [
        f"<h1>{html.escape(title)}</h1>",
        advice and f"{advice}<h2>In full</h2><p>{_SEEDS_ALONE}</p>",
        f"<p>{html.escape(summary.caption(name, records).replace('`', ''))}"
        "</p>",
        _table(summary.HEAD, [summary.cells(r) for r in summary.rows(records)]),
        f"<h2>Accuracy against training cost</h2><p>{LEGEND}</p>",
        _picture(accuracy_against_cost(records, title)),
        "<h2>Each seed</h2><p>Test accuracy; a line joins the arms of a seed, "
        "which share data split, data order and initial weights.</p>",
        _picture(_by_seed_figure(records)),
        "<h2>Against each rival</h2><p>Row minus column in percentage points, "
        "paired by seed, with a 95 % interval for each pair alone.</p>",
        _pairs(records),
        "<h2>Other measures</h2>",
        _picture(_measures_figure(records)),
        "<h2>Flags</h2>",
        *(
            f"<p>{html.escape(record.arm)}</p>"
            f"<pre>{html.escape(' '.join(record.flags))}</pre>"
            for record in _first_of_each_arm(records)
        ),
    ]
    body = "\n".join(parts)
    page = (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width'>"
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body>\n{body}\n</body></html>\n"
    )
    write_atomically(path, page)


def _first_of_each_arm(records):
    first = {}
    for record in records:
        first.setdefault(record.arm, record)
    return first.values()


def _table(head, lines):
    def row(tag, cells):
        inside = "".join(
            f"<{tag}>{html.escape(cell.replace('`', ''))}</{tag}>"
            for cell in cells
        )
        return f"<tr>{inside}</tr>"

    return (
        f"<div><table>{row('th', head)}"
        f"{''.join(row('td', line) for line in lines)}</table></div>"
    )


def _pairs(records):
    by_arm: dict[str, dict[int, float]] = {}
    for record in records:
        by_arm.setdefault(record.arm, {})[record.seed] = record.test_accuracy
    rivals = [name for name in by_arm if name in RIVALS]
    lines = [
        (
            name,
            *(
                summary.percent_points(
                    None
                    if name == rival
                    else paired_difference(mine, by_arm[rival])
                )
                for rival in rivals
            ),
        )
        for name, mine in by_arm.items()
    ]
    return _table(("", *rivals), lines)


def _picture(figure: Figure) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    data = base64.b64encode(buffer.getvalue()).decode()
    return f"<img alt='' src='data:image/png;base64,{data}'>"


def _by_seed_figure(records):
    figure = Figure(figsize=(9.0, 4.2), layout="constrained")
    axes = figure.subplots()
    arms = list(dict.fromkeys(record.arm for record in records))
    for seed in sorted({record.seed for record in records}):
        mine = [record for record in records if record.seed == seed]
        axes.plot(
            [arms.index(record.arm) for record in mine],
            [100 * record.test_accuracy for record in mine],
            "o-",
            lw=0.8,
            markersize=4,
            label=f"seed {seed}",
        )
    axes.set_xticks(range(len(arms)), arms, rotation=30, ha="right")
    axes.set_ylabel("test accuracy, %")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=8)
    return figure


def _measures_figure(records):
    arms = summary.rows(records)
    measures = {
        "expected calibration error, %": [100 * row.ece for row in arms],
        "invalid filters, %": [100 * row.invalid_share for row in arms],
        "divergence, nats": [row.divergence or 0.0 for row in arms],
    }
    figure = Figure(figsize=(11.0, 3.8), layout="constrained")
    panels = figure.subplots(1, len(measures), sharey=True)
    for axes, (label, values) in zip(panels, measures.items(), strict=True):
        axes.barh([row.arm for row in arms], values, color="tab:gray")
        axes.set_xlabel(label)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].invert_yaxis()
    return figure
