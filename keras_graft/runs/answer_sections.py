"""The sections of `report.html` about what the shipped network answers.

HTML and SVG alone: they need no library, and fit a telephone.
"""

import base64
import html
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_graft.runs.answers import Answers
from keras_graft.structure.printable import printable

STYLE = """
.images { display: grid; gap: .8rem; padding: 0;
       grid-template-columns: repeat(auto-fill, minmax(6rem, 1fr)); }
.images figure { margin: 0; } .images img { width: 100%; display: block; }
.images img.small { image-rendering: pixelated; }
figcaption { font-size: .8rem; line-height: 1.3; overflow-wrap: anywhere; }
.right { color: #17692d; } .wrong { color: #a8261d; }
table.matrix { table-layout: fixed; width: 100%; max-width: 40rem; }
table.matrix td, table.matrix th { padding: .25rem 0; text-align: center;
       font-size: .75rem; border: 1px solid #eee; }
table.named { width: 100%; max-width: 40rem; }
table.named td { overflow-wrap: anywhere; }
table.confused td:nth-child(2), table.confused th:nth-child(2) {
       text-align: left; }
.bar { display: block; height: .4rem; background: #4878a8; }
svg { width: 100%; max-width: 24rem; }
"""

# Classes of which a matrix can still be read on a telephone.
_MATRIX = 12
# Rows of a table that a person reads.
_ROWS = 15
_SMALL = 64
# Pixels at the longer side of an image that is shown.
_SIDE = 160


def sections(answers: Answers, class_names: Sequence[str] | None) -> list[str]:
    """The sections, as HTML.

    Args:
        answers: The shipped network's answers to the test images.
        class_names: Name of each class, or None for numbers.
    """
    names = [
        str(k) if class_names is None else printable(class_names[k])
        for k in range(answers.num_classes)
    ]
    escaped = [html.escape(name) for name in names]
    return [
        _samples(answers, escaped),
        _worst(answers, escaped),
        _by_class(answers, escaped),
        _confusion(answers, escaped),
        _calibration(answers),
    ]


def _samples(answers, names):
    return (
        "<h2>What it answers</h2><p>Test images as they come, with the answer "
        "and its probability.</p>" + _grid(answers, answers.samples(), names)
    )


def _worst(answers, names):
    wrong = int((~answers.right).sum())
    if not wrong:
        return "<h2>The worst mistakes</h2><p>None: every answer is right.</p>"
    return (
        f"<h2>The worst mistakes</h2><p>Of {wrong} wrong answers to "
        f"{len(answers.labels)} test images those that it was surest of. Look "
        "whether the label is right.</p>"
        + _grid(answers, answers.worst(), names)
    )


def _grid(answers, positions, names):
    figures = "".join(_figure(answers, int(k), names) for k in positions)
    return f"<div class='images'>{figures}</div>"


def _figure(answers, k, names):
    kind, data = _encoded(answers.images[k])
    small = max(answers.images.shape[1:3]) < _SMALL
    answer, label = names[answers.predicted[k]], names[answers.labels[k]]
    right = bool(answers.right[k])
    text = f"{answer} {answers.confidence[k]:.2f}"
    caption = (
        f"<span class='right'>{text} &#10003;</span>"
        if right
        else f"<span class='wrong'>{text} &#10007;</span><br>it is {label}"
    )
    return (
        f"<figure><img class='{'small' if small else ''}' alt='{label}' "
        f"src='data:image/{kind};base64,{data}'>"
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _encoded(image: np.ndarray) -> tuple[str, str]:
    """An image's kind and its bytes as text, small enough for a page."""
    import tensorflow as tf

    if image.shape[-1] not in (1, 3):
        image = image[..., :1]
    longer = max(image.shape[:2])
    if longer < _SMALL:
        kind, found = "png", tf.io.encode_png(image)
    else:
        size = [max(1, side * _SIDE // longer) for side in image.shape[:2]]
        if longer > _SIDE:
            shrunk = tf.image.resize(image, size, method="area")
            image = tf.cast(tf.round(shrunk), tf.uint8)
        kind, found = "jpeg", tf.io.encode_jpeg(image, quality=80)
    return kind, base64.b64encode(found.numpy()).decode()


def _by_class(answers, names):
    found = list(enumerate(answers.by_class()))
    order, what = found, "Share of the test images of each class."
    if len(found) > 2 * _ROWS:
        seen = [one for one in found if one[1][0]]
        order = sorted(seen, key=lambda one: one[1][1])[:_ROWS]
        middle = float(np.median([accuracy for _, (_, accuracy) in seen]))
        what = (
            f"The {len(order)} classes with the lowest, of {len(names)}; half "
            f"of the classes are at {middle:.3f} or above."
        )
    rows = "".join(
        f"<tr><td>{_numbered(k, names)}"
        f"<span class='bar' style='width:{_width(accuracy)}%'></span></td>"
        f"<td>{count}</td><td>{_number(accuracy)}</td></tr>"
        for k, (count, accuracy) in order
    )
    return (
        f"<h2>Accuracy by class</h2><p>{what}</p><table class='named'><tr>"
        "<th>class</th><th>images</th><th>accuracy</th></tr>"
        f"{rows}</table>"
    )


def _numbered(k, names):
    return names[k] if names[k] == str(k) else f"{k} {names[k]}"


def _number(accuracy):
    return "" if math.isnan(accuracy) else f"{accuracy:.3f}"


def _width(accuracy):
    return 0 if math.isnan(accuracy) else round(100 * accuracy)


def _confusion(answers, names):
    confusions = answers.confusions()
    matrix = ""
    if answers.num_classes <= _MATRIX:
        matrix = (
            "<p>Test images by their class (rows) and the answer (columns); "
            "darker is a larger share of the class.</p>"
            + _matrix(answers.confusion_matrix())
        )
    rows = "".join(
        f"<tr><td>{names[one.true]}</td><td>{names[one.answered]}</td>"
        f"<td>{one.count}</td><td>{100 * one.share:.0f} %</td></tr>"
        for one in confusions[:_ROWS]
    )
    table = (
        "<p>The largest confusions, with their share of the class.</p>"
        "<table class='named confused'><tr><th>class</th><th>taken for</th>"
        "<th>images</th><th>share</th></tr>"
        f"{rows}</table>"
    )
    return f"<h2>Confusions</h2>{matrix}{table if confusions else ''}"


def _matrix(matrix):
    head = "".join(f"<th>{k}</th>" for k in range(len(matrix)))
    rows = ""
    for i, row in enumerate(matrix):
        cells = ""
        for j, count in enumerate(row):
            share = count / max(row.sum(), 1)
            colour = "23,105,45" if i == j else "168,38,29"
            ink = ";color:#fff" if share > 0.55 else ""
            cells += (
                f"<td style='background:rgba({colour},{share:.2f}){ink}'>"
                f"{count or ''}</td>"
            )
        rows += f"<tr><th>{i}</th>{cells}</tr>"
    return f"<table class='matrix'><tr><th></th>{head}</tr>{rows}</table>"


def _calibration(answers):
    error = answers.expected_calibration_error()
    mean = float(answers.confidence.mean())
    accuracy = float(answers.right.mean())
    return (
        "<h2>Calibration</h2><p>Whether a probability is what it says: the "
        "share of right answers (bars) beside their mean probability (the "
        "line), in 15 intervals. Expected calibration error "
        f"<b>{error:.4f}</b>; on the whole the network is "
        f"{'surer' if mean > accuracy else 'less sure'} ({mean:.4f}) than it "
        f"is right ({accuracy:.4f}).</p>{_diagram(answers.calibration())}"
    )


def _diagram(bins: Sequence[Any]) -> str:
    """A reliability diagram of 15 bars."""
    left, top, side = 50, 8, 240
    width = side / len(bins)
    most = max(one.count for one in bins)
    bars = "".join(
        f"<rect x='{left + k * width + 1:.1f}' width='{width - 2:.1f}' "
        f"y='{top + side * (1 - one.accuracy):.1f}' "
        f"height='{side * one.accuracy:.1f}' fill='#4878a8' "
        f"fill-opacity='{0.35 + 0.65 * one.count / most:.2f}'>"
        f"<title>{one.count} answers, probability {one.confidence:.3f}, "
        f"right {one.accuracy:.3f}</title></rect>"
        for k, one in enumerate(bins)
        if one.count
    )
    ticks = "".join(
        f"<text x='{left + side * tick:.0f}' y='{top + side + 16}' "
        f"text-anchor='middle'>{tick:g}</text><text x='{left - 6}' "
        f"y='{top + side * (1 - tick) + 4:.0f}' text-anchor='end'>{tick:g}"
        "</text>"
        for tick in (0, 0.5, 1)
    )
    middle = top + side / 2
    return (
        "<svg viewBox='0 0 306 290' role='img' aria-label='Reliability "
        f"diagram' font-size='12' fill='#222'><rect x='{left}' y='{top}' "
        f"width='{side}' height='{side}' fill='none' stroke='#999'/>{bars}"
        f"<line x1='{left}' y1='{top + side}' x2='{left + side}' y2='{top}' "
        f"stroke='#222' stroke-dasharray='4'/>{ticks}"
        f"<text x='{left + side / 2}' y='{top + side + 34}' "
        "text-anchor='middle'>probability of the answer</text>"
        f"<text transform='translate(12,{middle}) rotate(-90)' "
        "text-anchor='middle'>right</text></svg>"
    )
