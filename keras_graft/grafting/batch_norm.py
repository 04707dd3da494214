"""BatchNormalization statistics that fit grafted weights."""

from typing import Any

import keras

from keras_graft.conv_layers import leaf_layers


def reestimate_batch_norm(
    network: keras.Model, images: Any, batch_size: int = 256
) -> None:
    """Computes a network's moving statistics anew, from data.

    Each moving mean and variance becomes the mean over batches of the
    batch's own: what a momentum of i / (i + 1) in batch i gives. The network
    runs as in training, dropout included; no other weight is changed by it,
    but states that training moves (such as seeds) go on. Frozen layers keep
    their statistics.

    Args:
        network: A built model.
        images: Inputs as the network takes them, shape (examples, ...). A
            last part of a batch is left out, if there is a whole one.
        batch_size: Examples in a batch; that of training gives statistics
            like training's. Defaults to 256.

    Raises:
        ValueError: If there are no images.
    """
    if not len(images):
        raise ValueError(
            "`images` is empty: give a few batches of training images."
        )
    norms = [
        layer
        for _, layer in leaf_layers(network)
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    momenta = [layer.momentum for layer in norms]
    whole = len(images) - len(images) % batch_size or len(images)
    try:
        for i, start in enumerate(range(0, whole, batch_size)):
            for layer in norms:
                layer.momentum = i / (i + 1)
            network(images[start : start + batch_size], training=True)
    finally:
        for layer, momentum in zip(norms, momenta, strict=True):
            layer.momentum = momentum


class ReestimateBatchNorm(keras.callbacks.Callback):
    """Computes moving statistics anew after each graft, in every live network.

    A graft blends moving statistics with the layer that they belong to. The
    mean of two networks' statistics is not that of the network between them,
    so the accuracy right after a graft can gain from statistics that are
    computed from data. Training itself does not use them.

    Must come after `graft` among the callbacks.

    Args:
        graft: The `GraftCallback` that grafts.
        images: As for `reestimate_batch_norm`; a few batches.
        batch_size: Examples in a batch. Defaults to 256.

    Example:

    ```python
    graft = keras_graft.GraftCallback()
    trainer.fit(..., callbacks=[
        graft, keras_graft.grafting.ReestimateBatchNorm(graft, train[:2048])
    ])
    ```
    """

    def __init__(self, graft, images, batch_size=256):
        super().__init__()
        self.graft = graft
        self.images = images
        self.batch_size = batch_size

    def on_epoch_begin(self, epoch, logs=None):
        if not self.graft.is_due(epoch):
            return
        status = getattr(self.model, "status", None)
        for k, network in enumerate(self.model.networks):
            if status is None or status[k] == "live":
                reestimate_batch_norm(network, self.images, self.batch_size)
