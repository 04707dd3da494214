"""BatchNormalization statistics that fit the weights."""

from typing import Any

import keras

from keras_graft.structure.conv_layers import leaf_layers


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
