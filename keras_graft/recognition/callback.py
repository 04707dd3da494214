"""Judges the networks of a trainer by retrieval, epoch by epoch."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_graft.checks.numbers import is_whole
from keras_graft.recognition.labels import checked_labels
from keras_graft.recognition.labels import refuse_unmatched
from keras_graft.recognition.loading import LabelledImages
from keras_graft.recognition.reranking import Reranking
from keras_graft.recognition.retrieval import checked_settings
from keras_graft.recognition.retrieval import metric_names
from keras_graft.recognition.retrieval import retrieval_metrics
from keras_graft.structure.variable_values import digest_of_weights
from keras_graft.trainer.callback_order import JudgingCallback


def embeddings_of(
    network: keras.Model,
    images: np.ndarray,
    output: str = "embedding",
    batch_size: int = 256,
) -> np.ndarray:
    """What a network gives for images.

    Args:
        network: A Keras model whose outputs are embeddings, or a dict with
            them.
        images: Shape [n, ...].
        output: Name of the output, where there are several.
        batch_size: Images in a batch.

    Returns:
        float32, shape [n, size].
    """
    return _embedded(_embedder(network, images, output), images, batch_size)


class RetrievalCallback(JudgingCallback):
    """Logs how well each network retrieves, and lets that choose the best.

    At the end of each epoch, and once more if the weights change after the
    last one (weight averaging), the networks embed query and gallery. Logs,
    for each m of `mAP`, `mINP`, `rank_1`, ...: `val_network_0_m`, ...,
    `val_m`, their mean, and `val_ensemble_m`, of the networks' embeddings one
    after the other, each of length 1 where the metric is the cosine: as long
    as all together. A network whose embeddings are not finite, or that is
    retired, has NaN and is in no mean.

    `GraftTrainer(monitor="val_mAP")` chooses the shipped network by it,
    without validation data too.

    Args:
        query: What is looked for: images of identities that are not trained
            on, such as `hold_out_identities` cuts off.
        gallery: Where.
        metric: As for `retrieval_metrics`, like `ranks` and `reranking`.
        output: Name of the networks' output. Defaults to `"embedding"`.
        batch_size: Images in a batch. Defaults to 256.

    Raises:
        ValueError: If an argument is out of its range.

    Example:

    ```python
    train, query, gallery = hold_out_identities(people.train, 0.1)
    trainer = keras_graft.GraftTrainer(networks, monitor="val_mAP")
    trainer.compile(...)
    trainer.fit(IdentityBatches(train, batch_size=64), epochs=60,
                callbacks=[RetrievalCallback(query, gallery)])
    shipped_model(trainer.best_network).save("shipped.keras")
    ```
    """

    def __init__(
        self,
        query: LabelledImages,
        gallery: LabelledImages,
        metric: str = "cosine",
        ranks: Sequence[int] = (1, 5, 10),
        reranking: Reranking | None = None,
        output: str = "embedding",
        batch_size: int = 256,
    ) -> None:
        super().__init__()
        self.ranks = checked_settings(metric, ranks, reranking)
        if not is_whole(batch_size, 1):
            raise ValueError(
                "`batch_size` must be a whole number from 1 on. Received: "
                f"{batch_size!r}"
            )
        self.query = query
        self.gallery = gallery
        self.metric = metric
        self.reranking = reranking
        self.output = output
        self.batch_size = batch_size
        # What is wrong with identities is said before training.
        labels = checked_labels(
            *(query.ids, query.cameras, len(query)),
            *(gallery.ids, gallery.cameras, len(gallery)),
        )
        refuse_unmatched(*labels)
        self.compared = dict.fromkeys(metric_names(self.ranks), "max")
        self._embedders: list = []
        self._judged_weights: list[str] = []

    def on_train_begin(self, logs=None):
        self._embedders = [
            _embedder(network, self.query.images, self.output)
            for network in self._networks()
        ]
        # A run that is resumed after its last epoch has these from a file.
        self._judged_weights = self._digests()

    def on_train_end(self, logs=None):
        health = getattr(self.model, "health", None)
        if health is None or self._judged_weights == self._digests():
            return
        health.keep_scores(self.judged())

    def on_epoch_end(self, epoch, logs=None):
        # A trainer has asked already.
        if not hasattr(self.model, "networks") and logs is not None:
            found = self.judged()
            logs.update({f"val_{m}": found[f"val_{m}"] for m in self.compared})

    def judged(self):
        self._judged_weights = self._digests()
        status = getattr(self.model, "status", None)
        found, embedded = [], []
        for k, embedder in enumerate(self._embedders):
            sides = [
                _embedded(embedder, part.images, self.batch_size)
                for part in self._parts()
            ]
            retired = status is not None and status[k] == "retired"
            if retired or not all(np.isfinite(side).all() for side in sides):
                found.append(dict.fromkeys(self.compared, float("nan")))
                continue
            found.append(self._scored(*sides))
            embedded.append(sides)
        return self._logs(found, self._together(found, embedded))

    def _logs(self, found, together):
        logs = {}
        for name in self.compared:
            values = [of_network[name] for of_network in found]
            told = [value for value in values if value == value]
            logs[f"val_{name}"] = float(np.mean(told)) if told else float("nan")
            for k, value in enumerate(values):
                logs[f"val_network_{k}_{name}"] = value
            logs[f"val_ensemble_{name}"] = together[name]
        return logs

    def _together(self, found, embedded):
        if not embedded:
            return dict.fromkeys(self.compared, float("nan"))
        if len(embedded) == 1:
            return next(f for f in found if f["mAP"] == f["mAP"])
        if self.metric == "cosine":
            embedded = [[_of_length_one(s) for s in e] for e in embedded]
        sides = [np.concatenate(side, axis=1) for side in zip(*embedded)]
        return self._scored(*sides)

    def _scored(self, of_query, of_gallery):
        query, gallery = self._parts()
        return retrieval_metrics(
            *(of_query, query.ids, query.cameras),
            *(of_gallery, gallery.ids, gallery.cameras),
            metric=self.metric,
            ranks=self.ranks,
            reranking=self.reranking,
        )

    def _parts(self):
        return self.query, self.gallery

    def _networks(self) -> Sequence[keras.Model]:
        return getattr(self.model, "networks", None) or [self.model]

    def _digests(self):
        return [digest_of_weights(network) for network in self._networks()]


def _embedder(network: keras.Model, images: np.ndarray, output: str) -> Any:
    def embed(images):
        found = network(images, training=False)
        found = found[output] if isinstance(found, dict) else found
        return tf.cast(found, "float32")

    shape = (None, *images.shape[1:])
    # One trace whatever the last batch's size, made here: TensorFlow warns of
    # functions that are made in a loop and traced when they are called.
    return tf.function(embed).get_concrete_function(
        tf.TensorSpec(shape, images.dtype)
    )


def _embedded(embedder, images, batch_size):
    return np.concatenate(
        [
            embedder(tf.constant(images[i : i + batch_size]))
            for i in range(0, len(images), batch_size)
        ]
    )


def _of_length_one(embeddings):
    norms = np.linalg.norm(embeddings, axis=1, keepdims=True)
    return embeddings / np.where(norms > 0, norms, 1)
