"""`report.html`: a run on one page, pictures inside."""

import base64
import html
import io
import pathlib
from collections.abc import Sequence
from typing import Any

from keras_graft.checks import packages
from keras_graft.runs import answer_sections
from keras_graft.runs.answers import Answers
from keras_graft.runs.csv_tables import table_of
from keras_graft.runs.results import MEAN
from keras_graft.runs.results import RunResults

NO_PICTURES = (
    "The report has no pictures: matplotlib is not installed. "
    "pip install 'keras_graft[plot]' brings it."
)

# Matplotlib cannot place ticks at numbers near the end of float64.
_MOST = 1e100

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem;
       margin: 2rem auto; padding: 0 1rem; color: #222; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
h1, p, li { overflow-wrap: anywhere; }
table { border-collapse: collapse; } td, th { padding: .25rem .9rem;
       text-align: right; border-bottom: 1px solid #ddd; }
td:first-child, th:first-child { text-align: left; }
tr.shipped { font-weight: 600; } img { max-width: 100%; }
pre { background: #f5f5f5; padding: .8rem; white-space: pre-wrap;
       overflow-wrap: anywhere; }
@media (max-width: 30rem) { td, th { padding: .25rem .4rem; }
       table { font-size: .85rem; } }
"""


def report_html(
    results: RunResults,
    history: dict[str, list[float]],
    coefficients: dict[str, dict[int, list[float]]],
    flags_text: str,
    answers: Answers | None = None,
) -> str:
    """Renders a run.

    Args:
        results: The run's results.
        history: Its logs by epoch.
        coefficients: For each kernel the coefficients by epoch, one for each
            network; empty without grafts.
        flags_text: The run's flags.
        answers: The shipped network's answers to the test images; None: the
            page does not show them.

    Returns:
        A page that needs nothing beside it.
    """
    parts = [
        f"<p>{_shipped(results)} is shipped: test accuracy "
        f"<b>{results.test_accuracy:.4f}</b> after {results.trained_epochs} "
        f"epochs ({results.seconds:.0f} s). "
        f"{html.escape(results.protocol)}</p>",
        _table(results),
    ]
    style = ""
    if answers is not None:
        parts += answer_sections.sections(answers, results.class_names)
        style = answer_sections.STYLE
    parts += training_sections(results, history, coefficients)
    if results.class_names is not None:
        rows = "".join(
            f"<li>{html.escape(n)}</li>" for n in results.class_names
        )
        parts.append(
            "<h2>Classes</h2><details><summary>"
            f"{len(results.class_names)} names</summary>"
            f"<ol start='0'>{rows}</ol></details>"
        )
    title = f"{results.num_networks} x {results.model} on {results.dataset}"
    return page(title, [*parts, flags_section(flags_text)], style)


def page(title: str, parts: Sequence[str], style: str = "") -> str:
    """A page that needs nothing beside it.

    Args:
        title: Its title.
        parts: HTML of what is below the title.
        style: CSS beside that of every report.
    """
    title = html.escape(title)
    body = "\n".join([f"<h1>{title}</h1>", *parts])
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width'>"
        f"<title>{title}</title><style>{_STYLE}{style}</style></head>"
        f"<body>\n{body}\n</body></html>\n"
    )


def flags_section(flags_text: str) -> str:
    """The flags of a run."""
    return f"<h2>Flags</h2><pre>{html.escape(flags_text)}</pre>"


def training_sections(
    results: Any,
    history: dict[str, list[float]],
    coefficients: dict[str, dict[int, list[float]]],
) -> list[str]:
    """How a training went: pictures, or why there are none.

    Args:
        results: The run's results.
        history: As for `report_html`, like `coefficients`.
    """
    if packages.missing(packages.PICTURES):
        return [f"<p>{html.escape(NO_PICTURES)}</p>"]
    return _pictures(results, history, coefficients)


def read_coefficients(
    path: pathlib.Path,
) -> dict[str, dict[int, list[float]]]:
    """Reads `coefficients.csv`; empty if there is none.

    Raises:
        RunError: If the file is none of a run.
    """
    found: dict[str, dict[int, list[float]]] = {}
    if not path.exists():
        return found
    with table_of(path) as rows:
        for epoch, kernel, first, *more in rows:
            by_epoch = found.setdefault(kernel, {})
            by_epoch[int(epoch)] = [float(value) for value in (first, *more)]
    return found


def _pictures(results, history, coefficients):
    parts = [
        _section(
            f"{results.score[0].upper()}{results.score[1:]}",
            _score_figure(results, history),
            f"Of each network and of {results.ensemble}, on "
            + ("validation" if _validated(results) else "test")
            + " images.",
        ),
    ]
    if coefficients:
        parts.append(
            _section(
                "Graft coefficients",
                _coefficient_figure(coefficients),
                "Share of its own weights that a layer keeps. Above 0.5 it "
                "holds more information than the peer that it receives from.",
            )
        )
    parts.append(
        _section(
            "Invalid filters",
            _invalid_figure(results, history),
            "Filters (one output slice of a convolution kernel each) whose "
            "l1 norm is below the threshold, at the end of each epoch.",
        )
    )
    if "divergence" in history:
        parts.append(
            _section(
                "Divergence between the networks",
                _divergence_figure(history),
                "Mean Kullback-Leibler divergence between their predictions "
                "at the end of each epoch, just before the next graft. Near "
                "0 they are one network.",
            )
        )
    return parts


def _shipped(results):
    if results.selected == MEAN:
        return "The mean of the networks' weights"
    return results.selected


def _validated(results):
    return results.selected_by.startswith("val_")


def _table(results):
    rows = "".join(
        f"<tr class='{'shipped' if n.name == results.selected else ''}'>"
        f"<td>{n.name}</td><td>{n.test_accuracy:.4f}</td>"
        f"<td>{n.invalid_filters} of {n.total_filters}</td>"
        f"<td>{n.status}</td></tr>"
        for n in results.networks
    )
    if results.num_networks > 1:
        rows += (
            f"<tr><td>ensemble</td><td>{results.ensemble_test_accuracy:.4f}"
            f"</td><td></td><td></td></tr>"
        )
    return (
        "<table><tr><th>network</th><th>test accuracy</th>"
        f"<th>invalid filters</th><th>status</th></tr>{rows}</table>"
    )


def _section(title, figure, caption):
    picture = base64.b64encode(_png(figure)).decode()
    return (
        f"<h2>{title}</h2><p>{html.escape(caption)}</p>"
        f"<img alt='{title}' src='data:image/png;base64,{picture}'>"
    )


def _png(figure):
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def _figure(width=8.0, height=3.6):
    # The object API needs no display and leaves pyplot's state alone.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def _by_epoch(axes, label):
    axes.set_xlabel("epoch")
    axes.set_ylabel(label)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3)
    axes.xaxis.get_major_locator().set_params(integer=True)


def _plot(axes, values, **style):
    axes.plot(_drawable(values), **style)


def _drawable(values):
    """Numbers, with NaN, a gap, for those that no axis can show."""
    import numpy as np

    values = np.asarray(values, "float64")
    return np.where(np.abs(values) < _MOST, values, np.nan)


def _score_figure(results, history):
    figure, axes = _figure()
    for k in range(results.num_networks):
        name = f"val_network_{k}_{results.score}"
        _plot(axes, history[name], label=f"network_{k}")
    if results.num_networks > 1:
        _plot(
            axes,
            history[f"val_ensemble_{results.score}"],
            color="black",
            linestyle="dashed",
            label="ensemble",
            lw=1,
        )
    _by_epoch(axes, results.score)
    axes.legend(frameon=False)
    return figure


def _invalid_figure(results, history):
    figure, axes = _figure()
    for k in range(results.num_networks):
        _plot(
            axes, history[f"network_{k}_invalid_filters"], label=f"network_{k}"
        )
    _by_epoch(axes, f"of {results.networks[0].total_filters} filters")
    axes.set_ylim(bottom=0, top=max(axes.get_ylim()[1], 1))
    axes.legend(frameon=False)
    return figure


def _divergence_figure(history):
    figure, axes = _figure()
    _plot(axes, history["divergence"], color="tab:purple")
    _by_epoch(axes, "nats")
    axes.set_ylim(bottom=0)
    return figure


def _coefficient_figure(coefficients):
    import numpy as np
    from matplotlib.figure import Figure

    kernels = list(coefficients)
    epochs = sorted({e for by_epoch in coefficients.values() for e in by_epoch})
    num_networks = max(
        len(row) for by in coefficients.values() for row in by.values()
    )
    values = np.full((num_networks, len(kernels), len(epochs)), np.nan)
    for i, kernel in enumerate(kernels):
        for j, epoch in enumerate(epochs):
            row = coefficients[kernel].get(epoch, [])
            values[: len(row), i, j] = row
    height = 1.2 + 0.16 * len(kernels)
    figure = Figure(figsize=(9.0, max(height, 2.6)), layout="constrained")
    panels = figure.subplots(1, num_networks, sharey=True, squeeze=False)[0]
    values = _drawable(values)
    distances = np.abs(values - 0.5)
    reach = np.max(distances, initial=0.01, where=~np.isnan(distances))
    for k, axes in enumerate(panels):
        image = axes.imshow(
            values[k],
            aspect="auto",
            interpolation="nearest",
            cmap="RdBu",
            vmin=0.5 - reach,
            vmax=0.5 + reach,
            extent=(epochs[0] - 0.5, epochs[-1] + 0.5, len(kernels), 0),
        )
        axes.set_title(f"network_{k}", fontsize=10)
        axes.set_xlabel("epoch")
    panels[0].set_yticks(
        [i + 0.5 for i in range(len(kernels))],
        kernels,
        fontsize=7,
        # A name with a dollar in it is no formula.
        parse_math=False,
    )
    figure.colorbar(image, ax=list(panels), shrink=0.9)
    return figure
