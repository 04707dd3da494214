"""The page of a retrieval: what is shown, and what is right about it."""

import re

import numpy as np
import pytest

from keras_graft.recognition import LabelledImages
from keras_graft.recognition import ranked_lists
from keras_graft.recognition import retrieval_report

DEGREES = np.array([0, 10, 20, 30, 90, 180])
IDS = np.array([1, 2, 1, -1, 1, 0])
CAMERAS = np.array([1, 2, 2, 2, 3, 2])


def at(degrees):
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def images_of(ids, cameras, channels):
    images = np.zeros((len(ids), 8, 4, channels), np.uint8)
    return LabelledImages(images, np.array(ids), np.array(cameras))


def test_lists_leave_out_what_the_metrics_leave_out():
    found = ranked_lists(
        *(at([0]), np.array([1]), np.array([1])),
        *(at(DEGREES), IDS, CAMERAS),
        count=5,
        bins=4,
    )
    # The first is by the query's camera, the fourth is junk.
    assert found.nearest.tolist() == [[1, 2, 4, 5, -1]]
    assert found.right.tolist() == [[False, True, True, False, False]]
    # 1 - cosine of 20 and 90 degrees; of 10 and 180.
    assert found.edges.tolist() == [0, 0.5, 1, 1.5, 2]
    assert found.within.sum() == 2 and found.within[0] == 1
    assert found.between.tolist() == [1, 0, 0, 1]


def test_lists_without_cameras_leave_out_junk_alone():
    sides = (at([0]), [1], None, at(DEGREES), IDS, None)
    assert ranked_lists(*sides).nearest.tolist() == [[0, 1, 2, 4, 5, -1]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"query_embeddings": at([np.nan])}, "must be finite. 1 of 1"),
        ({"query_embeddings": np.ones((1, 3))}, "sizes 3 and 2"),
        ({"gallery_ids": IDS[1:]}, r"`gallery_ids`.*shape \[6\]"),
        ({"query_cameras": None}, "given together"),
        ({"query_ids": [-1]}, "A query must have an identity"),
        ({"query_ids": [7]}, "No query has a right image"),
        ({"count": 0}, "`count` must be a whole number from 1"),
        ({"bins": 2.5}, "`bins` must be a whole number from 1"),
    ],
)
def test_lists_refuse_what_the_metrics_refuse(change, message):
    usual = {
        "query_embeddings": at([0]),
        "query_ids": [1],
        "query_cameras": [1],
        "gallery_embeddings": at(DEGREES),
        "gallery_ids": IDS,
        "gallery_cameras": CAMERAS,
    }
    with pytest.raises(ValueError, match=message):
        ranked_lists(**usual | change)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_page_shows_queries_from_worst_to_best(channels):
    query = images_of([1, 2, 3], [9, 9, 9], channels)
    gallery = images_of([*IDS, 3], [*CAMERAS, 2], channels)
    page = retrieval_report(
        *(query, gallery, at([5, 12, 15]), at([*DEGREES, 60])),
        title="a <network>",
        shown=2,
    )
    assert "<h1>a &lt;network&gt;</h1>" in page
    assert re.findall(r"AP (\d\.\d\d)", page) == ["0.25", "1.00"]
    # Of two queries: identity 3 is at place 4 of 6, 2 comes first of 6.
    assert page.count("<td class='query'>") == 2
    assert page.count("<td class='right'>") == 2
    assert page.count("<td class='wrong'>") == 10
    assert page.count("class='figure'") == 2
    assert "3 queries in 7 images" in page
