"""Who is on the images of a query set and of a gallery, and whether it fits."""

import dataclasses
from typing import Any

import numpy as np

# Identity of what is neither right nor wrong.
JUNK = -1


@dataclasses.dataclass(frozen=True, eq=False)
class Labels:
    """Identities of images, and the cameras that took them.

    Attributes:
        ids: Identities, int, shape [images].
        cameras: int, shape [images], or None.
    """

    ids: np.ndarray
    cameras: np.ndarray | None

    def __len__(self) -> int:
        return len(self.ids)

    def without(self, left_out: np.ndarray) -> "Labels":
        """The labels of other images than those (bool, shape [images])."""
        cameras = None if self.cameras is None else self.cameras[~left_out]
        return Labels(self.ids[~left_out], cameras)


def checked_labels(
    query_ids: Any,
    query_cameras: Any,
    num_queries: int,
    gallery_ids: Any,
    gallery_cameras: Any,
    num_images: int,
) -> tuple[Labels, Labels]:
    """The labels of queries and gallery, if they are some.

    Args:
        query_ids: As for `retrieval_metrics`, like the others.
        query_cameras: Likewise.
        num_queries: How many there must be.
        gallery_ids: Likewise.
        gallery_cameras: Likewise.
        num_images: How many there must be.

    Raises:
        ValueError: If they are not whole numbers of these counts, cameras are
            given for one side alone, or a query is junk.
    """
    queries = _labels("query", query_ids, query_cameras, num_queries)
    gallery = _labels("gallery", gallery_ids, gallery_cameras, num_images)
    if (queries.cameras is None) != (gallery.cameras is None):
        raise ValueError(
            "`query_cameras` and `gallery_cameras` must be given together, or "
            "neither of them."
        )
    junk = queries.ids == JUNK
    if junk.any():
        raise ValueError(
            f"A query must have an identity. {junk.sum()} of {len(junk)} have "
            f"-1, which is junk, the first of them query {junk.argmax()}."
        )
    return queries, gallery


def _labels(side, ids, cameras, count):
    found = {f"{side}_ids": np.asarray(ids)}
    if cameras is not None:
        found[f"{side}_cameras"] = np.asarray(cameras)
    for name, numbers in found.items():
        whole = np.issubdtype(numbers.dtype, np.integer)
        if numbers.shape != (count,) or not whole:
            raise ValueError(
                f"`{name}` must be whole numbers of the shape [{count}], one "
                f"for each embedding. Received: {numbers.dtype} of shape "
                f"{numbers.shape}"
            )
    return Labels(found[f"{side}_ids"], found.get(f"{side}_cameras"))


def refuse_unmatched(queries: Labels, gallery: Labels) -> None:
    """Refuses queries of which none can be right, from their labels alone.

    Args:
        queries: Of the queries.
        gallery: Of the gallery, junk included.

    Raises:
        ValueError: If the gallery is junk alone, or no query has an image of
            its identity there, by another camera where there are cameras.
    """
    gallery = gallery.without(gallery.ids == JUNK)
    if not len(gallery):
        raise ValueError("The gallery holds nothing but junk (identity -1).")
    right = _count(queries.ids, gallery.ids)
    if queries.cameras is not None and gallery.cameras is not None:
        right -= _count(
            np.stack([queries.ids, queries.cameras], axis=1),
            np.stack([gallery.ids, gallery.cameras], axis=1),
        )
    if not right.any():
        raise ValueError(
            "No query has a right image in the gallery: one of its identity, "
            "by another camera. Are the identities of both numbered alike? "
            "Without cameras, give None for both."
        )


def _count(wanted, given):
    """How often each row of the one is in the other."""
    both = np.concatenate([wanted, given])
    rows = np.unique(both, axis=0, return_inverse=True)[1].reshape(-1)
    counts = np.bincount(rows[len(wanted) :], minlength=rows.max() + 1)
    return counts[rows[: len(wanted)]]
