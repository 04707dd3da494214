"""Networks judged by retrieval while they train."""

import time

import keras
import numpy as np
import pytest

import keras_graft
from keras_graft.recognition import LabelledImages
from keras_graft.recognition import Reranking
from keras_graft.recognition import RetrievalCallback
from keras_graft.recognition import embedding_network
from keras_graft.recognition import embeddings_of
from keras_graft.recognition import retrieval_metrics
from keras_graft.swa import StochasticWeightAveraging

rng = np.random.default_rng(0)


def images_of(ids):
    """Where an image is bright tells its identity, a little."""
    images = rng.uniform(0, 200, (len(ids), 8, 8, 1))
    for image, identity in zip(images, ids, strict=True):
        image[identity % 4 * 2] += 55
    return LabelledImages(
        images.astype("uint8"), np.array(ids), np.arange(len(ids))
    )


QUERY = images_of([4, 5, 6, 7])
GALLERY = images_of([4, 5, 6, 7] * 4)
TRAIN = images_of([0, 1, 2, 3] * 8)


def network(seed):
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.Conv2D(
        6,
        (2, 8),
        strides=2,
        kernel_initializer=keras.initializers.GlorotUniform(seed),
    )(x)
    return embedding_network(keras.Model(inputs, x), 4, seed=seed)


def trainer_of(networks, rate=0.05, monitor="val_mAP"):
    trainer = keras_graft.GraftTrainer(networks, None, monitor=monitor)
    trainer.compile(
        optimizer=keras.optimizers.SGD(rate),
        loss={
            "logits": keras.losses.SparseCategoricalCrossentropy(
                from_logits=True
            )
        },
    )
    return trainer


def fitted(trainer, *callbacks, epochs=2, **fit):
    ids = TRAIN.labels
    return trainer.fit(
        TRAIN.images,
        {"logits": ids, "embedding": ids},
        epochs=epochs,
        batch_size=16,
        callbacks=list(callbacks),
        verbose=0,
        **fit,
    ).history


def judged(one, metric="cosine"):
    sides = [
        (embeddings_of(one, p.images), p.ids, p.cameras)
        for p in (QUERY, GALLERY)
    ]
    return retrieval_metrics(*sides[0], *sides[1], metric=metric)


@pytest.fixture(scope="module")
def trained():
    trainer = trainer_of([network(0), network(5)])
    early = keras.callbacks.EarlyStopping("val_mAP", mode="max", patience=9)
    logs = fitted(trainer, RetrievalCallback(QUERY, GALLERY), early)
    return trainer, logs, early


def test_logs_are_the_metrics_of_each_network(trained):
    trainer, logs, early = trained
    each = [judged(one) for one in trainer.networks]
    for m in ("mAP", "mINP", "rank_1", "rank_5", "rank_10"):
        for k in range(2):
            assert logs[f"val_network_{k}_{m}"][-1] == pytest.approx(each[k][m])
        assert logs[f"val_{m}"][-1] == pytest.approx(
            (each[0][m] + each[1][m]) / 2
        )
    # Decided by other callbacks.
    assert early.best == pytest.approx(max(logs["val_mAP"]))


def test_the_ensemble_is_judged_by_all_embeddings_together(trained):
    trainer, logs, _ = trained
    sides = []
    for part in (QUERY, GALLERY):
        each = [embeddings_of(n, part.images) for n in trainer.networks]
        unit = [e / np.linalg.norm(e, axis=1, keepdims=True) for e in each]
        sides += [np.concatenate(unit, axis=1), part.ids, part.cameras]
    assert logs["val_ensemble_mAP"][-1] == pytest.approx(
        retrieval_metrics(*sides)["mAP"]
    )


def test_the_best_network_retrieves_best(trained):
    trainer, logs, _ = trained
    each = [logs[f"val_network_{k}_mAP"][-1] for k in range(2)]
    assert each[0] != each[1]
    assert trainer.best_network is trainer.networks[int(np.argmax(each))]


def test_a_network_that_is_not_finite_is_not_chosen():
    networks = [network(0), network(5)]
    networks[0].get_layer("neck").gamma.assign([np.nan] * 6)
    trainer = trainer_of(networks)
    logs = fitted(trainer, RetrievalCallback(QUERY, GALLERY), epochs=1)
    assert np.isnan(logs["val_network_0_mAP"][0])
    assert logs["val_mAP"] == logs["val_network_1_mAP"]
    assert logs["val_ensemble_mAP"] == logs["val_network_1_mAP"]
    assert trainer.best_network is networks[1]


def test_averaged_weights_are_judged_once_more():
    trainer = trainer_of([network(0)], rate=0.5)
    logs = fitted(
        trainer,
        RetrievalCallback(QUERY, GALLERY),
        StochasticWeightAveraging(start=0),
    )
    (kept,) = keras.ops.convert_to_numpy(trainer.health.scores)
    assert kept == pytest.approx(judged(trainer.best_network)["mAP"])
    assert kept != pytest.approx(logs["val_mAP"][-1])


def test_plain_keras_models_are_judged_too():
    model = network(0)
    model.compile(
        optimizer=keras.optimizers.SGD(0.05),
        loss={"logits": "mse", "embedding": None},
    )
    ids = np.eye(4)[TRAIN.labels]
    logs = model.fit(
        TRAIN.images,
        {"logits": ids, "embedding": ids},
        callbacks=[RetrievalCallback(QUERY, GALLERY, metric="euclidean")],
        verbose=0,
    ).history
    assert logs["val_mAP"][0] == pytest.approx(
        judged(model, "euclidean")["mAP"]
    )


def test_without_the_callback_there_is_no_such_log():
    trainer = trainer_of([network(0)])
    with pytest.raises(ValueError, match="monitor='val_mAP' is no log"):
        fitted(trainer)
    trainer = trainer_of([network(0)], monitor="val_map")
    with pytest.raises(ValueError, match="'val_mAP', 'val_mINP'"):
        fitted(trainer, RetrievalCallback(QUERY, GALLERY))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"metric": "dot"}, "one of cosine, euclidean"),
        ({"batch_size": 0}, "from 1 on"),
        ({"ranks": ()}, "at least one"),
        ({"gallery": TRAIN}, "No query has a right image"),
        ({"reranking": True}, "must be a Reranking, or None. Received: True"),
    ],
)
def test_what_cannot_be_judged_is_refused_before_training(arguments, message):
    with pytest.raises(ValueError, match=message):
        RetrievalCallback(**{"query": QUERY, "gallery": GALLERY, **arguments})


def test_it_is_made_without_ranking_anything():
    ids = np.arange(20_000)
    many = LabelledImages(
        np.broadcast_to(np.uint8(0), (len(ids), 1, 1, 1)), ids % 700, ids
    )
    begin = time.process_time()
    callback = RetrievalCallback(many, many, reranking=Reranking())
    # Re-ranking them takes minutes.
    assert time.process_time() - begin < 2
    assert list(callback.compared) == [
        *("mAP", "mINP", "rank_1", "rank_5", "rank_10")
    ]
