"""N networks of one architecture, from one."""

import contextlib
import numbers
import random
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_graft.structure.conv_layers import leaf_layers
from keras_graft.structure.graph import sublayers

_LARGEST_SEED = 2**31 - 1


def replicate(
    model: keras.Model, n: int, seed: int = 0, weights: str | None = None
) -> list[keras.Model]:
    """Makes N networks with the architecture of one, which is left alone.

    Every initializer and every random layer of a replica gets a seed of its
    own, also where the model's have a fixed one, so that networks start
    apart. What is not trained is copied: frozen layers, such as a pretrained
    base, and layers that hold statistics of data, such as `Normalization`.

    Args:
        model: A Keras model. A subclassed one needs a `get_config`.
        n: Number of networks, at least 1.
        seed: At least 0. The same seed gives the same networks.
        weights: None for freshly initialised weights, or `"copy"` for those
            of the model. Equal networks need different learning rates, or
            different views of the data, to become different ones. Defaults to
            None.

    Returns:
        List of N models, not compiled, which share nothing.

    Raises:
        ValueError: If an argument is none of these, or the model cannot be
            made anew from its config.

    Example:

    ```python
    networks = keras_graft.replicate(model, 3, seed=0)
    trainer = keras_graft.GraftTrainer(networks)
    ```
    """
    if not isinstance(model, keras.Model):
        raise ValueError(f"`model` must be a Keras model. Received: {model!r}")
    if not isinstance(n, numbers.Integral) or isinstance(n, bool) or n < 1:
        raise ValueError(f"`n` must be a whole number, at least 1. Got: {n!r}")
    if not isinstance(seed, numbers.Integral) or seed < 0:
        raise ValueError(
            f"`seed` must be a whole number, at least 0. Received: {seed!r}"
        )
    if weights not in (None, "copy"):
        raise ValueError(
            f'`weights` must be None or "copy". Received: {weights!r}'
        )
    if weights == "copy" and not model.built:
        raise ValueError(
            'weights="copy" needs a model that has weights: call it on a '
            "batch, or build it, first."
        )
    return [_replica(model, (seed, k), weights) for k in range(n)]


def _replica(model, place, weights):
    rng = np.random.default_rng(place)

    def draw():
        return int(rng.integers(_LARGEST_SEED))

    try:
        with _default_seeds_from(place):
            replica = _made_anew(model, draw)
    except (NotImplementedError, TypeError, ValueError) as error:
        raise ValueError(
            f"'{model.name}' ({type(model).__name__}) cannot be made anew "
            f"from its config: {error} Give its classes a `get_config` that "
            "holds all their arguments, or make the networks one by one, each "
            "with a seed of its own."
        ) from error
    _freeze_like(replica, model)
    if not model.built:
        return replica
    for (_, layer), (_, made) in zip(
        leaf_layers(model), leaf_layers(replica), strict=True
    ):
        if weights == "copy" or _is_given(layer):
            made.set_weights(layer.get_weights())
            if hasattr(made, "finalize_state"):
                # `Normalization` computes with what it makes of its weights.
                made.finalize_state()
    return replica


def _freeze_like(replica, model):
    """Freezes nested models that are frozen as a whole.

    Keras clones them as trainable with frozen layers inside, and making them
    trainable would then change nothing (3.15).
    """
    for made, layer in zip(sublayers(replica), sublayers(model), strict=True):
        if made.trainable and not layer.trainable:
            made.trainable = False
        _freeze_like(made, layer)


@contextlib.contextmanager
def _default_seeds_from(place):
    """Within it, Keras draws seeds that no config holds as `place` tells."""
    before = random.getstate()
    random.seed(repr(place))
    try:
        yield
    finally:
        random.setstate(before)


def _made_anew(model, draw):
    # The model's own `from_config` would not find layers of classes that are
    # not registered.
    if type(model).__module__.partition(".")[0] == "keras":
        return keras.models.clone_model(
            model,
            clone_function=lambda layer: _from_config(layer, draw),
            recursive=True,
        )
    replica = _from_config(model, draw)
    if model.built and not replica.built:
        _build_like(replica, model)
    return replica


def _build_like(replica, model):
    config = model.get_build_config() or {}
    shape = config.get("input_shape")
    if isinstance(shape, list | tuple) and all(
        size is None or isinstance(size, int) for size in shape
    ):
        # Keras warns of the build of a subclassed model that has none.
        replica(keras.ops.zeros([size or 1 for size in shape]))
    else:
        replica.build_from_config(config)


def _from_config(layer, draw):
    return type(layer).from_config(_reseeded(layer.get_config(), draw))


def _reseeded(config: Any, draw: Callable[[], int]) -> Any:
    """The same config with fresh seeds."""
    if isinstance(config, dict):
        return {
            key: draw()
            if key == "seed" and (value is None or isinstance(value, int))
            else _reseeded(value, draw)
            for key, value in config.items()
        }
    if isinstance(config, list | tuple):
        return type(config)(_reseeded(item, draw) for item in config)
    return config


def _is_given(layer):
    """Whether a layer's weights come from elsewhere than training."""
    if isinstance(layer, keras.layers.BatchNormalization):
        return not layer.trainable
    return bool(layer.weights) and not layer.trainable_weights
