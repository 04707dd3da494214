import hashlib
import itertools
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from keras_graft.data import order
from keras_graft.data import pipeline
from keras_graft.data.names import AUGMENTS
from keras_graft.data.splits import Split

BATCH = 8
NUM_EXAMPLES = 43
STEPS = 5
KINDS = [(augment, "shared") for augment in AUGMENTS] + [
    ("none", "own"),
    ("standard", "own"),
    ("cutmix", "own"),
]


def split(side=16):
    rng = np.random.default_rng(0)
    shape = (NUM_EXAMPLES, side, side, 3)
    # The first pixel row numbers the images.
    images = rng.integers(0, 256, shape).astype(np.uint8)
    images[:, 0] = np.arange(NUM_EXAMPLES)[:, None, None]
    return Split(images, (np.arange(NUM_EXAMPLES) % 10).astype(np.int32))


def batches_of(augment="none", batches="shared", **changes):
    arguments = {
        "batch_size": BATCH,
        "seed": 3,
        "num_networks": 2,
        "num_classes": 10,
    }
    return pipeline.training_batches(
        split(), augment=augment, batches=batches, **arguments | changes
    )


def take(dataset, count, skip=0):
    return list(
        itertools.islice(dataset.as_numpy_iterator(), skip, skip + count)
    )


def digest(elements):
    leaves = tf.nest.flatten(elements)
    return hashlib.sha256(
        b"".join(leaf.tobytes() for leaf in leaves)
    ).hexdigest()


def epoch_three_digests():
    """Digest of epoch 3, begun there, for every kind of batches."""
    return {
        " ".join(kind): digest(take(batches_of(*kind, initial_epoch=3), STEPS))
        for kind in KINDS
    }


@pytest.fixture(scope="module")
def elsewhere():
    """The digests of another process."""
    script = (
        "import json, test_pipeline as t; "
        "print(json.dumps(t.epoch_three_digests()))"
    )
    here = pathlib.Path(__file__).parent
    root = pathlib.Path(pipeline.__file__).parents[2]
    run = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONPATH": f"{here}{os.pathsep}{root}"},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(
            kind,
            marks=pytest.mark.slow if kind[0] == "randaugment" else (),
        )
        for kind in KINDS
    ],
    ids=" ".join,
)
def test_epoch_three_is_the_same_after_three_epochs_as_elsewhere(
    kind, elsewhere
):
    np.random.seed(9)
    tf.random.set_seed(9)
    after_three = take(batches_of(*kind), STEPS, skip=3 * STEPS)
    assert digest(after_three) == elsewhere[" ".join(kind)]
    assert digest(take(batches_of(*kind), STEPS)) != digest(after_three)


def test_an_epoch_shows_every_example_once_in_the_order_of_its_number():
    first = take(batches_of(initial_epoch=2), STEPS)
    shown = np.concatenate([x[:, 0, 0, 0] for x, _ in first])
    expected = order.permutation(NUM_EXAMPLES, 3, 2).numpy()[: STEPS * BATCH]
    np.testing.assert_array_equal(shown, expected)
    labels = np.concatenate([y for _, y in first])
    np.testing.assert_array_equal(labels, shown % 10)
    assert len(set(shown)) == STEPS * BATCH


def test_pixels_arrive_as_they_are():
    x, _ = take(batches_of(), 1)[0]
    np.testing.assert_array_equal(x, split().images[x[:, 0, 0, 0]])


def test_short_epochs_show_the_first_batches_of_each_order():
    dataset = batches_of(steps_per_epoch=2)
    shown = [x[:, 0, 0, 0] for x, _ in take(dataset, 6)]
    for epoch in range(3):
        expected = order.permutation(NUM_EXAMPLES, 3, epoch).numpy()[:16]
        np.testing.assert_array_equal(
            np.concatenate(shown[2 * epoch : 2 * epoch + 2]), expected
        )


def test_own_batches_give_each_network_an_order_of_its_own():
    elements = take(batches_of(batches="own", num_networks=3), STEPS)
    for k in range(3):
        shown = np.concatenate(
            [x[f"network_{k}"][:, 0, 0, 0] for x, _ in elements]
        )
        labels = np.concatenate([y[f"network_{k}"] for _, y in elements])
        expected = order.permutation(NUM_EXAMPLES, 3, 0, k).numpy()
        np.testing.assert_array_equal(shown, expected[: STEPS * BATCH])
        np.testing.assert_array_equal(labels, shown % 10)


@pytest.mark.parametrize(
    "augment",
    [
        "standard",
        "resized_crop",
        pytest.param("randaugment", marks=pytest.mark.slow),
    ],
)
def test_each_epoch_step_and_network_augments_in_its_own_way(augment):
    # One picture throughout, so that only what was drawn can differ.
    images = np.repeat(split().images[:1], 16, axis=0)
    dataset = pipeline.training_batches(
        Split(images, np.zeros(16, np.int32)),
        batch_size=8,
        seed=0,
        augment=augment,
        num_networks=3,
    )
    elements = take(dataset, 4)
    views = {view.tobytes() for x, _ in elements for view in x.values()}
    assert len(views) == 4 * 3


@pytest.mark.parametrize("augment", ["cutmix", "mixup"])
def test_networks_of_one_batch_share_its_mixtures_not_its_crops(augment):
    x, y = take(batches_of(augment, num_networks=3), 1)[0]
    alone, y_alone = take(batches_of(augment, num_networks=1), 1)[0]
    np.testing.assert_array_equal(y, y_alone)
    np.testing.assert_array_equal(x["network_0"], alone)
    for one, other in itertools.combinations(x, 2):
        assert (x[one] != x[other]).any()


def test_networks_with_batches_of_their_own_mix_them_differently():
    _, y = take(batches_of("mixup", "own", num_networks=2), 1)[0]
    shares = [np.sort(labels.max(axis=1)) for labels in y.values()]
    assert (shares[0] != shares[1]).any()


def test_a_view_does_not_depend_on_how_many_networks_there_are():
    two, _ = take(batches_of("standard", num_networks=2), 1)[0]
    four, _ = take(batches_of("standard", num_networks=4), 1)[0]
    alone, _ = take(batches_of("standard", num_networks=1), 1)[0]
    np.testing.assert_array_equal(two["network_1"], four["network_1"])
    np.testing.assert_array_equal(alone, two["network_0"])


def test_other_seeds_are_other_runs():
    def images(seed, k):
        x, _ = take(batches_of("standard", "own", seed=seed), 1)[0]
        return x[f"network_{k}"].tobytes()

    seen = {images(seed, k) for seed in (0, 1, 2) for k in (0, 1)}
    assert len(seen) == 6


def spec(shape, dtype):
    return tf.TensorSpec((BATCH, *shape), dtype)


UINT8 = spec((16, 16, 3), tf.uint8)
FLOAT = spec((16, 16, 3), tf.float32)
LABELS = spec((), tf.int32)
SOFT = spec((10,), tf.float32)


def for_each(what):
    return {"network_0": what, "network_1": what}


@pytest.mark.parametrize(
    "augment, batches, num_networks, expected",
    [
        ("none", "shared", 2, (UINT8, LABELS)),
        ("none", "own", 2, (for_each(UINT8), for_each(LABELS))),
        ("none", "own", 1, (UINT8, LABELS)),
        ("standard", "shared", 1, (UINT8, LABELS)),
        ("standard", "shared", 2, (for_each(UINT8), LABELS)),
        ("standard", "own", 2, (for_each(UINT8), for_each(LABELS))),
        ("resized_crop", "shared", 2, (for_each(UINT8), LABELS)),
        ("randaugment", "shared", 1, (FLOAT, LABELS)),
        ("randaugment", "shared", 2, (for_each(FLOAT), LABELS)),
        ("mixup", "shared", 1, (FLOAT, SOFT)),
        ("mixup", "shared", 2, (for_each(FLOAT), SOFT)),
        ("cutmix", "own", 2, (for_each(FLOAT), for_each(SOFT))),
    ],
)
def test_an_element_has_the_documented_structure(
    augment, batches, num_networks, expected
):
    dataset = batches_of(augment, batches, num_networks=num_networks)
    assert dataset.element_spec == expected


def test_evaluation_shows_all_images_in_order():
    dataset = pipeline.evaluation_batches(split(), BATCH)
    assert dataset.cardinality().numpy() == 6
    for _ in range(2):
        elements = take(dataset, 100)
        assert [len(y) for _, y in elements] == [8] * 5 + [3]
        np.testing.assert_array_equal(
            np.concatenate([x for x, _ in elements]), split().images
        )
        np.testing.assert_array_equal(
            np.concatenate([y for _, y in elements]), split().labels
        )


def test_two_replicas_share_the_batches_of_one(two_replicas):
    strategy = two_replicas
    dataset = batches_of("standard")
    distributed = iter(strategy.experimental_distribute_dataset(dataset))
    for x, y in take(dataset, STEPS + 1):
        x_parts, y_parts = next(distributed)
        for name, images in x.items():
            parts = strategy.experimental_local_results(x_parts[name])
            assert [len(part) for part in parts] == [4, 4]
            np.testing.assert_array_equal(np.concatenate(parts), images)
        parts = strategy.experimental_local_results(y_parts)
        np.testing.assert_array_equal(np.concatenate(parts), y)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"augment": "autoaugment"}, "`augment` must be one of none, standard"),
        ({"batches": "mine"}, "`batches` must be one of shared, own. .*'mine'"),
        ({"augment": "cutmix", "num_classes": None}, "give num_classes"),
        ({"class_balance": "all"}, "`class_balance` must be one of none"),
        ({"num_networks": 0}, "num_networks=0"),
        ({"initial_epoch": -1}, "initial_epoch=-1"),
        ({"batch_size": 44}, "batch larger than the data"),
        ({"steps_per_epoch": 6}, "steps_per_epoch=6 must be from 1 to 5"),
    ],
)
def test_bad_arguments_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        batches_of(**changes)


def unbalanced(count=60):
    """40 images of class 0, 15 of class 2, 5 of class 3; none of class 1."""
    labels = np.repeat([0, 2, 3], [40, 15, 5]).astype(np.int32)
    images = np.zeros((count, 8, 8, 3), np.uint8)
    images[:] = np.arange(count)[:, None, None, None]
    return Split(images, labels)


def test_balanced_batches_show_every_class_equally_often():
    arguments = {"batch_size": 6, "seed": 0, "class_balance": "sample"}
    batches = pipeline.training_batches(unbalanced(), **arguments)
    shown = take(batches, 20)
    for epoch in (shown[:10], shown[10:]):
        labels = np.concatenate([y for _, y in epoch])
        np.testing.assert_array_equal(np.bincount(labels), [20, 0, 20, 20])
    rows = np.concatenate([x[:, 0, 0, 0] for x, _ in shown])
    labels = np.concatenate([y for _, y in shown])
    np.testing.assert_array_equal(labels, unbalanced().labels[rows])
    # Every image of the smallest class comes, and often.
    assert np.bincount(rows)[55:].min() >= 3
    begun = pipeline.training_batches(
        unbalanced(), initial_epoch=1, **arguments
    )
    for (x, _), (again, _) in zip(shown[10:], take(begun, 10), strict=True):
        np.testing.assert_array_equal(x, again)
    own = pipeline.training_batches(
        unbalanced(), num_networks=2, batches="own", **arguments
    )
    x, _ = take(own, 1)[0]
    assert (x["network_0"] != x["network_1"]).any()


def test_weighted_batches_weigh_every_class_the_same():
    arguments = {"batch_size": 60, "seed": 0, "class_balance": "weight"}
    (_, y, weights), *_ = take(
        pipeline.training_batches(unbalanced(), **arguments), 1
    )
    sums = [weights[y == k].sum() for k in (0, 2, 3)]
    np.testing.assert_allclose(sums, [20, 20, 20], rtol=1e-6)
    mixed = pipeline.training_batches(
        unbalanced(),
        augment="mixup",
        num_classes=5,
        num_networks=2,
        batches="own",
        **arguments,
    )
    _, y, weights = take(mixed, 1)[0]
    of_class = np.array([0.5, 0, 20 / 15, 4, 0])
    for name in ("network_0", "network_1"):
        np.testing.assert_allclose(weights[name], y[name] @ of_class, rtol=1e-5)
