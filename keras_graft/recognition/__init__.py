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
| `labels` | who is on the images, and whether it fits |
| `queries` | which images are looked for, where nobody has said |

The public names below are resolved on first use: what only computes metrics
does not import TensorFlow.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keras_graft.recognition.batches import Augmentation as Augmentation
    from keras_graft.recognition.batches import (
        IdentityBatches as IdentityBatches,
    )
    from keras_graft.recognition.callback import (
        RetrievalCallback as RetrievalCallback,
    )
    from keras_graft.recognition.callback import embeddings_of as embeddings_of
    from keras_graft.recognition.loading import LabelledImages as LabelledImages
    from keras_graft.recognition.loading import RetrievalData as RetrievalData
    from keras_graft.recognition.loading import (
        hold_out_identities as hold_out_identities,
    )
    from keras_graft.recognition.loading import join as join
    from keras_graft.recognition.loading import load as load
    from keras_graft.recognition.losses import (
        BatchHardTriplet as BatchHardTriplet,
    )
    from keras_graft.recognition.losses import CircleLoss as CircleLoss
    from keras_graft.recognition.losses import (
        batch_hard_triplet as batch_hard_triplet,
    )
    from keras_graft.recognition.losses import circle_loss as circle_loss
    from keras_graft.recognition.networks import (
        embedding_network as embedding_network,
    )
    from keras_graft.recognition.networks import shipped_model as shipped_model
    from keras_graft.recognition.rankings import RankedLists as RankedLists
    from keras_graft.recognition.rankings import ranked_lists as ranked_lists
    from keras_graft.recognition.report import (
        retrieval_report as retrieval_report,
    )
    from keras_graft.recognition.reranking import Reranking as Reranking
    from keras_graft.recognition.retrieval import (
        RetrievalScores as RetrievalScores,
    )
    from keras_graft.recognition.retrieval import (
        retrieval_metrics as retrieval_metrics,
    )
    from keras_graft.recognition.retrieval import (
        retrieval_scores as retrieval_scores,
    )
    from keras_graft.recognition.similarities import (
        SimilarityDistillation as SimilarityDistillation,
    )

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


if not TYPE_CHECKING:  # It would take any name for one of ours.

    def __getattr__(name: str):
        if name not in _HOMES:
            raise AttributeError(
                f"module {__name__!r} has no attribute {name!r}"
            )
        home = importlib.import_module(f"{__name__}.{_HOMES[name]}")
        return getattr(home, name)


def __dir__() -> list[str]:
    return __all__
