"""Recognition: find the gallery's images of the identity asked for.

| module | what it holds |
| --- | --- |
| `retrieval` | `retrieval_metrics`: mAP, mINP and CMC of queries in a gallery |
| `expected_values` | the metrics' expected values over the orders of ties |
| `distances` | distances of queries and gallery, in blocks |
| `reranking` | k-reciprocal re-ranking |

The public names below are resolved on first use: what only computes metrics
does not import TensorFlow.
"""

import importlib

_HOMES = {
    "Reranking": "reranking",
    "RetrievalScores": "retrieval",
    "retrieval_metrics": "retrieval",
    "retrieval_scores": "retrieval",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = importlib.import_module(f"{__name__}.{_HOMES[name]}")
    return getattr(home, name)


def __dir__() -> list[str]:
    return __all__
