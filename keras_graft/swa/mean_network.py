"""One network from N: the mean of their weights."""

from typing import Any

import keras
import numpy as np

from keras_graft.structure.batch_norm_statistics import reestimate_batch_norm
from keras_graft.structure.conv_layers import structure_differences
from keras_graft.structure.replicate import replicate


def mean_network(
    trainer: Any, images: Any = None, batch_size: int = 256
) -> keras.Model:
    """Makes one network whose weights are the mean of all live networks'.

    For networks that were kept near each other to the end, such as by
    `GraftCallback(half_life=...)`: the mean of others is worth nothing.

    Args:
        trainer: A `GraftTrainer`, or anything with a list `networks`, whose
            `status` says which are live.
        images: Inputs for the statistics of BatchNormalization, as for
            `grafting.reestimate_batch_norm`: shape (examples, ...), as in
            training; or a function without arguments that returns them. None
            leaves the mean of the networks' statistics, which belong to other
            weights. Defaults to None.
        batch_size: Examples in a batch of those. Defaults to 256.

    Returns:
        A new model, not compiled. The networks are left alone.

    Raises:
        ValueError: If no network is live, or architectures differ.

    Example:

    ```python
    trainer.fit(x, y, epochs=100, callbacks=[
        keras_graft.GraftCallback(half_life=2.0, target="mean")
    ])
    keras_graft.mean_network(trainer, x[:10_000]).save("shipped.keras")
    ```
    """
    networks = list(trainer.networks)
    status = list(getattr(trainer, "status", ["live"] * len(networks)))
    live = [n for n, s in zip(networks, status, strict=True) if s == "live"]
    if not live:
        raise ValueError(
            f"No network is live, so that there is no mean. Status: {status}."
        )
    differences = structure_differences(live)
    if differences:
        raise ValueError(
            "Only networks of one architecture have a mean. These differ:\n  "
            + "\n  ".join(differences)
        )
    mean = replicate(live[0], 1, weights="copy")[0]
    weights = zip(*(network.get_weights() for network in live), strict=True)
    mean.set_weights([_mean(of_networks) for of_networks in weights])
    images = images() if callable(images) else images
    if images is not None:
        reestimate_batch_norm(mean, images, batch_size)
    return mean


def _mean(of_networks):
    first = of_networks[0]
    if not keras.backend.is_float_dtype(first.dtype):
        return first  # A counter, or a seed.
    return np.mean(of_networks, axis=0, dtype="float64").astype(first.dtype)
