"""Recognition: find the gallery's images of the identity asked for.

| module | what it holds |
| --- | --- |
| `retrieval` | `retrieval_metrics`: mAP, mINP and CMC of queries in a gallery |
| `expected_values` | the metrics' expected values over the orders of ties |
| `distances` | distances of queries and gallery, in blocks |
| `reranking` | k-reciprocal re-ranking |
| `rankings`, `report` | the nearest images; a page of them |
| `networks` | `embedding_network`: a backbone, a neck, identities |
| `losses` | batch-hard triplet and circle loss |
| `batches` | `IdentityBatches`: P identities with K images each |
| `augmentation` | crop, flip and erasing, functions of images and seed |
| `similarities` | distillation of who is near whom |
| `callback` | `RetrievalCallback`: networks judged while they train |
| `loading` | `load`: a benchmark's images, or those of one's own |
| `layouts`, `identity_folders` | which files there are, and of whom |
| `image_files`, `pictures` | files with labels; files as pixels |
| `queries` | which images are looked for, where nobody has said |

The public names below are resolved on first use: what only computes metrics
does not import TensorFlow.
"""

import importlib

_HOMES = {
    "Augmentation": "batches",
    "BatchHardTriplet": "losses",
    "CircleLoss": "losses",
    "IdentityBatches": "batches",
    "LabelledImages": "loading",
    "RankedLists": "rankings",
    "Reranking": "reranking",
    "RetrievalCallback": "callback",
    "RetrievalData": "loading",
    "RetrievalScores": "retrieval",
    "SimilarityDistillation": "similarities",
    "batch_hard_triplet": "losses",
    "circle_loss": "losses",
    "embedding_network": "networks",
    "embeddings_of": "callback",
    "hold_out_identities": "loading",
    "join": "loading",
    "load": "loading",
    "ranked_lists": "rankings",
    "retrieval_metrics": "retrieval",
    "retrieval_report": "report",
    "retrieval_scores": "retrieval",
    "shipped_model": "networks",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = importlib.import_module(f"{__name__}.{_HOMES[name]}")
    return getattr(home, name)


def __dir__() -> list[str]:
    return __all__
