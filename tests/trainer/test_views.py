import numpy as np

from keras_graft.trainer.views import has_views
from keras_graft.trainer.views import views_of


def test_a_batch_is_shared_unless_it_names_every_network():
    batch = np.zeros((4, 2))
    assert all(view is batch for view in views_of(batch, 3))
    assert views_of(None, 2) == [None, None]
    assert views_of((1, 2), 2) == [(1, 2), (1, 2)]


def test_each_network_is_given_its_own_entry_in_order():
    batch = {"network_2": "c", "network_0": "a", "network_1": "b"}
    assert has_views(batch, 3)
    assert views_of(batch, 3) == ["a", "b", "c"]
    assert views_of({"network_0": "a"}, 1) == ["a"]


def test_named_model_inputs_are_one_shared_batch():
    for batch in (
        {"image": 1, "mask": 2},
        {"network_0": 1},  # too few
        {"network_0": 1, "network_1": 2, "network_2": 3},  # too many
        {"network_0": 1, "image": 2},
        {"network_1": 1, "network_2": 2},  # counted from 0
    ):
        assert not has_views(batch, 2)
        views = views_of(batch, 2)
        assert len(views) == 2 and all(view is batch for view in views)
