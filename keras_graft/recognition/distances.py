"""Distances of queries and gallery, a block of queries at a time."""

from collections.abc import Iterator

import numpy as np

METRICS = ("cosine", "euclidean")

# Of a block of distances. Small beside the gallery, large enough for a fast
# matrix product.
_BLOCK_BYTES = 64 * 2**20
# An offset that all embeddings share costs the digits that it has more than
# their differences. Below this there is nothing to be gained.
_WORTH_CENTRING = 100.0


class Distances:
    """Squared distances of queries to a gallery.

    Between embeddings of length 1 (`"cosine"`; one of zeros stays so) or as
    they are. Computed in float32, or in float64 where the embeddings are.

    Args:
        queries: Shape [queries, size], finite.
        gallery: Shape [images, size], finite.
        metric: One of `METRICS`.
    """

    def __init__(self, queries: np.ndarray, gallery: np.ndarray, metric: str):
        dtype = np.result_type(np.float32, queries, gallery)
        # Copies, which are changed in place.
        queries = np.array(queries, dtype, order="C")
        gallery = np.array(gallery, dtype, order="C")
        if metric == "cosine":
            _to_length_one(queries)
            _to_length_one(gallery)
        else:
            _centre_and_scale(queries, gallery)
        gallery += 0.0  # No -0.0: the same number in other bits.
        self._query_norms = _squared_norms(queries).astype(dtype)
        self._gallery_norms = _squared_norms(gallery).astype(dtype)
        queries *= -2
        self._queries, self._gallery = queries, gallery
        self._constant_norms = metric == "cosine" and bool(
            _squared_norms(gallery).all()
        )
        self._copies, self._firsts = _equal_rows(gallery)

    def blocks(
        self, ranked: bool = False, count: int | None = None
    ) -> Iterator[tuple[int, np.ndarray]]:
        """The distances, block by block.

        Equal images of the gallery are at equal distances, bit for bit: a
        matrix product may round equal columns differently.

        Args:
            ranked: Whether only the order in a row counts, so that what is
                the same for a whole row is left out.
            count: Only for that many queries, the first ones; None: all.

        Yields:
            The number of the first query and an array of shape [queries of
            the block, images], which may be changed: the next block takes
            its place.
        """
        queries, gallery = self._queries[:count], self._gallery
        bytes_of_row = gallery.dtype.itemsize * len(gallery)
        rows = max(1, min(len(queries), _BLOCK_BYTES // bytes_of_row))
        space = np.empty((rows, len(gallery)), gallery.dtype)
        for start in range(0, len(queries), rows):
            block = queries[start : start + rows]
            found = np.matmul(block, gallery.T, out=space[: len(block)])
            if not (ranked and self._constant_norms):
                found += self._gallery_norms
            if not ranked:
                norms = self._query_norms[start : start + len(block)]
                found += norms[:, np.newaxis]
                np.maximum(found, 0, out=found)
            if len(self._copies):
                found[:, self._copies] = found[:, self._firsts]
            yield start, found

    def of_pairs(self, query: int, images: np.ndarray) -> np.ndarray:
        """The distances of a query to some images, shape [images]."""
        products = self._gallery[images] @ self._queries[query]
        norms = self._query_norms[query] + self._gallery_norms[images]
        return np.maximum(products + norms, 0)


def _squared_norms(embeddings):
    # In float64, where the square of any float32 has its place.
    return np.einsum("ij,ij->i", embeddings, embeddings, dtype=np.float64)


def _to_length_one(embeddings):
    norms = np.sqrt(_squared_norms(embeddings))
    embeddings /= np.where(norms > 0, norms, 1.0)[:, np.newaxis].astype(
        embeddings.dtype
    )


def _centre_and_scale(queries, gallery):
    """Keeps the digits and the range of squares in the embeddings' dtype."""
    centre = gallery.mean(axis=0, dtype=np.float64).astype(gallery.dtype)
    spread = gallery.std(axis=0, dtype=np.float64)
    offset = np.square(centre, dtype=np.float64).sum()
    if offset > _WORTH_CENTRING * np.square(spread).sum() > 0:
        queries -= centre
        gallery -= centre
    largest = max(np.abs(queries).max(), np.abs(gallery).max())
    if largest > 0:
        # A power of two changes no digit.
        scale = np.ldexp(1.0, -int(np.frexp(largest)[1]))
        queries *= queries.dtype.type(scale)
        gallery *= gallery.dtype.type(scale)


def _equal_rows(rows):
    """Rows that equal an earlier one, and the first one that they equal."""
    first: dict[int, list[int]] = {}
    copies, firsts = [], []
    for i, row in enumerate(rows):
        alike = first.setdefault(hash(row.tobytes()), [])
        for j in alike:
            if np.array_equal(rows[j], row):
                copies.append(i)
                firsts.append(j)
                break
        else:
            alike.append(i)
    return np.array(copies, int), np.array(firsts, int)
