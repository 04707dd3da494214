"""P x K batches: what is in them, resumed, and shared by replicas."""

import keras
import numpy as np
import pytest

import keras_graft
from keras_graft.recognition import Augmentation
from keras_graft.recognition import BatchHardTriplet
from keras_graft.recognition import IdentityBatches
from keras_graft.recognition import LabelledImages
from keras_graft.recognition import SimilarityDistillation
from keras_graft.recognition import embedding_network
from keras_graft.recognition.batches import groups_of_epoch

# From one image of an identity to forty.
COUNTS = [1, 3, 5, 8, 9, 12, 20, 40]
LABELS = np.repeat(np.arange(8), COUNTS)


def data(counts=COUNTS, side=8):
    ids = np.repeat(np.arange(len(counts)) * 10 + 7, counts)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (len(ids), side, side, 1)).astype("uint8")
    images[:, 0, 0, 0] = np.arange(len(ids))
    return LabelledImages(images, ids, np.ones_like(ids))


def first_batches(batches, epoch, count):
    return [
        keras.tree.map_structure(np.array, batch)
        for batch in batches.from_epoch(epoch).take(count)
    ]


@pytest.mark.parametrize(("p", "k"), [(2, 4), (4, 4), (3, 2), (8, 3)])
def test_every_batch_has_p_identities_with_k_images(p, k):
    for epoch in range(5):
        rows = groups_of_epoch(LABELS, p, k, seed=1, epoch=epoch)
        for batch in rows:
            by_identity = LABELS[batch].reshape(p, k)
            assert (by_identity == by_identity[:, :1]).all()
            assert len(set(by_identity[:, 0])) == p
            for group in batch.reshape(p, k):
                if COUNTS[LABELS[group[0]]] >= k:
                    assert len(set(group)) == k
        assert rows.shape == groups_of_epoch(LABELS, p, k, 9, 0).shape


def test_an_epoch_shows_no_image_twice_where_there_are_enough():
    labels = np.repeat(np.arange(10), 12)
    seen = groups_of_epoch(labels, 5, 4, seed=0, epoch=0).ravel()
    assert sorted(seen) == list(range(120))


def test_seed_and_epoch_alone_decide():
    def drawn(seed, epoch):
        return groups_of_epoch(LABELS, 4, 4, seed, epoch).tolist()

    assert drawn(0, 3) == drawn(0, 3)
    assert drawn(0, 3) != drawn(0, 4) != drawn(1, 4)


@pytest.mark.parametrize("per_identity", [2, None])
def test_a_later_epoch_is_that_of_an_uninterrupted_run(per_identity):
    batches = IdentityBatches(
        data(),
        batch_size=8,
        images_per_identity=per_identity,
        augmentation=Augmentation(pad=1, flip=True, erasing=0.5),
        num_networks=2,
    )
    steps = batches.steps_per_epoch
    whole = first_batches(batches, 0, 2 * steps)
    later = first_batches(batches, 1, steps)
    for one, other in zip(whole[steps:], later, strict=True):
        keras.tree.map_structure(np.testing.assert_array_equal, one, other)
    # Another epoch holds other batches.
    assert any(
        (one["embedding"] != other["embedding"]).any()
        for (_, one), (_, other) in zip(whole[:steps], later, strict=True)
    )
    x, y = later[0]
    assert (x["network_0"] != x["network_1"]).any()
    assert set(y) == {"logits", "embedding"}


def test_labels_are_those_of_the_images():
    images = data()
    batches = IdentityBatches(
        images,
        batch_size=8,
        outputs=("logits", "embedding", "features"),
        one_hot=True,
    )
    for x, y in first_batches(batches, 0, 3):
        expected = images.labels[x[:, 0, 0, 0]]
        np.testing.assert_array_equal(y["features"], expected)
        np.testing.assert_array_equal(y["logits"], np.eye(8)[expected])


def network(seed):
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.Conv2D(
        4, 3, kernel_initializer=keras.initializers.GlorotUniform(seed)
    )(x)
    x = keras.layers.BatchNormalization(synchronized=True)(x)
    backbone = keras.Model(inputs, keras.layers.ReLU()(x))
    return embedding_network(backbone, 8, features=True, seed=seed)


def trainer_of(distillation):
    trainer = keras_graft.GraftTrainer(
        [network(0), network(5)], distillation, monitor="val_loss"
    )
    trainer.compile(
        optimizer=keras.optimizers.SGD(0.05),
        loss={
            "logits": keras.losses.CategoricalCrossentropy(
                from_logits=True, label_smoothing=0.1
            ),
            "features": BatchHardTriplet(),
        },
        metrics={"logits": ["accuracy"]},
    )
    return trainer


def identities(**arguments):
    return IdentityBatches(
        data(),
        batch_size=8,
        images_per_identity=2,
        outputs=("logits", "embedding", "features"),
        one_hot=True,
        **arguments,
    )


def trained(folder, epochs):
    trainer = trainer_of(
        [keras_graft.MutualDistillation(), SimilarityDistillation()]
    )
    logs = trainer.fit(
        identities(augmentation=Augmentation(1, True, 0.5), num_networks=2),
        epochs=epochs,
        callbacks=[
            keras_graft.GraftCallback(),
            keras_graft.RunCheckpoint(folder),
        ],
        verbose=0,
    ).history
    return trainer, logs


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("whole"), 2)


def test_the_strong_recipe_trains(whole):
    _, logs = whole
    assert logs["loss"][1] < logs["loss"][0]
    assert logs["network_1_features_loss"][1] > 0
    assert logs["graft_coefficient"][1] < 1


@pytest.mark.slow
def test_it_resumes_to_the_same_bits(whole, tmp_path):
    trained(tmp_path, 1)
    parts, resumed = trained(tmp_path, 2)
    trainer, logs = whole
    assert resumed["loss"][-1] == logs["loss"][-1]
    for one, other in zip(trainer.networks, parts.networks, strict=True):
        keras.tree.map_structure(
            np.testing.assert_array_equal,
            one.get_weights(),
            other.get_weights(),
        )


def test_replicas_get_whole_identities(two_replicas):
    batches = identities().from_epoch(0).take(3)
    shared_out = two_replicas.experimental_distribute_dataset(batches)
    for _, labels in shared_out:
        parts = two_replicas.experimental_local_results(labels["features"])
        assert [len(part) for part in parts] == [4, 4]
        for part in parts:
            pairs = part.numpy().reshape(2, 2)
            assert (pairs[:, 0] == pairs[:, 1]).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 10}, "must be images_per_identity=4 times"),
        ({"batch_size": 4}, "2 at least"),
        ({"images_per_identity": 1}, "from 2 on, or None"),
        ({"batch_size": 64}, "asks for 16 identities .* there are 8"),
        ({"seed": -1}, "`seed` must be"),
        ({"num_networks": 0}, "`num_networks` must be"),
        ({"batch_size": 0}, "`batch_size` must be"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        IdentityBatches(data(), **{"batch_size": 8, **arguments})


@pytest.mark.parametrize("arguments", [{"pad": -1}, {"erasing": 1.5}])
def test_augmentation_out_of_range_is_refused(arguments):
    with pytest.raises(ValueError, match=f"`{next(iter(arguments))}` must"):
        Augmentation(**arguments)
