"""What a network retrieves, on one page, pictures inside."""

import base64
import html
import io
from collections.abc import Sequence

import numpy as np

from keras_graft.checks import packages
from keras_graft.checks.numbers import is_whole
from keras_graft.recognition.loading import LabelledImages
from keras_graft.recognition.rankings import RankedLists
from keras_graft.recognition.rankings import ranked_lists
from keras_graft.recognition.retrieval import RetrievalScores
from keras_graft.recognition.retrieval import retrieval_scores

_RANKS = 50
_NEAREST = 10
# Of the ranked lists, wherever they are shown.
RANKED_STYLE = """
table.ranked td, table.ranked th { padding: .2rem .35rem;
       text-align: center; font-size: .8rem; border: none; }
table.ranked img { display: block; height: 72px; min-width: 30px;
       image-rendering: pixelated; border: 4px solid #888; }
table.ranked td.right img { border-color: #2a8c3c; }
table.ranked td.wrong img { border-color: #c8372d; }
"""
_STYLE = f"""
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 62rem;
       margin: 2rem auto; padding: 0 1rem; color: #222; }}
h1 {{ font-size: 1.5rem; }} h2 {{ font-size: 1.15rem; margin-top: 2rem; }}
table {{ border-collapse: collapse; }} img.figure {{ max-width: 100%; }}
{RANKED_STYLE}"""


def retrieval_report(
    query: LabelledImages,
    gallery: LabelledImages,
    query_embeddings: np.ndarray,
    gallery_embeddings: np.ndarray,
    title: str,
    shown: int = 12,
) -> str:
    """A page with the metrics, ranked lists, CMC curve and distances.

    Cosine distance, without re-ranking. The queries that are shown go from
    the worst to the best in even steps, none is picked by hand.

    Args:
        query: What is looked for.
        gallery: Where.
        query_embeddings: Of its images, shape [queries, size].
        gallery_embeddings: Likewise.
        title: Of the page: network and data.
        shown: Queries whose nearest images are shown, 1 or more.

    Returns:
        HTML that needs nothing beside it.

    Raises:
        ValueError: As `retrieval_metrics`, and if `shown` is less than 1.
        MissingPackageError: If Matplotlib or Pillow is not installed.
    """
    sections = retrieval_sections(
        query, gallery, query_embeddings, gallery_embeddings, shown
    )
    title = html.escape(title)
    body = "\n".join([f"<h1>{title}</h1>", *sections])
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        f"<title>{title}</title><style>{_STYLE}</style></head>"
        f"<body>\n{body}\n</body></html>\n"
    )


def retrieval_sections(
    query: LabelledImages,
    gallery: LabelledImages,
    query_embeddings: np.ndarray,
    gallery_embeddings: np.ndarray,
    shown: int = 12,
) -> list[str]:
    """What `retrieval_report` has below its title, for a page of one's own.

    Args:
        query: As for `retrieval_report`, like `gallery`, `query_embeddings`,
            `gallery_embeddings` and `shown`.

    Returns:
        Pieces of HTML; `RANKED_STYLE` is the style of their table.

    Raises:
        ValueError: As `retrieval_report`.
        MissingPackageError: Likewise.
    """
    packages.require(
        "A retrieval report", (*packages.PICTURES, *packages.IMAGE_FILES)
    )
    if not is_whole(shown, 1):
        raise ValueError(
            f"`shown` must be a whole number from 1 on. Received: {shown!r}"
        )
    sides = (
        *(query_embeddings, query.ids, query.cameras),
        *(gallery_embeddings, gallery.ids, gallery.cameras),
    )
    scores = retrieval_scores(*sides, ranks=range(1, _RANKS + 1))
    lists = ranked_lists(*sides, count=_NEAREST)
    means = scores.means()
    counted = int((scores.num_matches > 0).sum())
    return [
        f"<p>mAP <b>{means['mAP']:.4f}</b>, rank 1 "
        f"<b>{means['rank_1']:.4f}</b>, rank 5 {means['rank_5']:.4f}, "
        f"rank 10 {means['rank_10']:.4f}, mINP {means['mINP']:.4f}: "
        f"{counted} queries in {len(gallery)} images.</p>",
        "<h2>Ranked lists</h2>",
        "<p>A query (grey) and the ten nearest images, right ones green, "
        "wrong ones red, from the worst to the best average precision "
        "(AP) in even steps. Number below an image: its identity. Images "
        "that a metric leaves out are left out.</p>",
        _table(query, gallery, scores, lists, shown),
        "<h2>CMC curve</h2>",
        "<p>Share of queries with a right image among the first k.</p>",
        _figure(_cmc, scores),
        "<h2>Distances</h2>",
        "<p>Cosine distances of queries and gallery, within an identity "
        "and between two. The less they overlap, the better.</p>",
        _figure(_distances, lists),
    ]


def _table(query, gallery, scores: RetrievalScores, lists: RankedLists, shown):
    rows = []
    for i in _in_even_steps(scores.average_precision, shown):
        cells = [
            _cell(query, i, "query", f"AP {scores.average_precision[i]:.2f}")
        ]
        for place, right in zip(lists.nearest[i], lists.right[i], strict=True):
            if place >= 0:
                kind = "right" if right else "wrong"
                cells.append(_cell(gallery, place, kind, gallery.ids[place]))
        rows.append(f"<tr>{''.join(cells)}</tr>")
    numbers = "".join(f"<th>{k}</th>" for k in range(1, _NEAREST + 1))
    head = f"<tr><th>query</th>{numbers}</tr>"
    return f"<table class='ranked'>{head}{''.join(rows)}</table>"


def _in_even_steps(precisions: np.ndarray, count: int) -> Sequence[int]:
    """Queries from the worst to the best, those without a match left out."""
    order = np.argsort(precisions, kind="stable")
    order = order[: np.isfinite(precisions).sum()]
    places = np.linspace(0, len(order) - 1, min(count, len(order)))
    return order[np.round(places).astype(int)].tolist()


def _cell(images, row, kind, text):
    from PIL import Image

    pixels = images.images[row]
    picture = Image.fromarray(
        pixels[..., 0] if pixels.shape[-1] == 1 else pixels
    )
    source = _data_uri(lambda file: picture.save(file, "png"))
    return f"<td class='{kind}'><img alt='{kind}' src='{source}'>{text}</td>"


def _figure(draw, what):
    # The object API needs no display and leaves pyplot's state alone.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.0, 3.4), layout="constrained")
    axes = figure.subplots()
    draw(axes, what)
    axes.spines[["top", "right"]].set_visible(False)
    source = _data_uri(lambda file: figure.savefig(file, format="png", dpi=110))
    return f"<img class='figure' alt='{draw.__name__[1:]}' src='{source}'>"


def _data_uri(save):
    buffer = io.BytesIO()
    save(buffer)
    text = base64.b64encode(buffer.getvalue()).decode()
    return f"data:image/png;base64,{text}"


def _cmc(axes, scores):
    counted = scores.num_matches > 0
    axes.plot(scores.ranks, scores.found_by_rank[counted].mean(axis=0))
    axes.set_xlabel("k")
    axes.set_ylabel("share of queries")
    axes.set_xlim(1, max(scores.ranks))
    axes.set_ylim(top=1.0)
    axes.grid(alpha=0.3)


def _distances(axes, lists):
    for name, counts, colour in (
        ("within an identity", lists.within, "tab:green"),
        ("between two", lists.between, "tab:red"),
    ):
        # Of each kind's own pairs: there are many more of two identities.
        share = counts / max(counts.sum(), 1)
        axes.stairs(
            share, lists.edges, fill=True, alpha=0.5, color=colour, label=name
        )
    used = np.flatnonzero(lists.within + lists.between)
    if len(used):
        axes.set_xlim(lists.edges[used[0]], lists.edges[used[-1] + 1])
    axes.set_xlabel("1 - cosine")
    axes.set_ylabel("share of pairs")
    axes.legend(frameon=False)
