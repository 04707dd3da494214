"""What labels a loss takes, and whether they fit the networks."""

import contextlib
import functools
import re
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_graft.structure.outputs import final_activation

_CROSSENTROPIES = {
    "sparse_categorical_crossentropy": "sparse",
    "categorical_crossentropy": "one-hot",
    "categorical_focal_crossentropy": "one-hot",
    "binary_crossentropy": "binary",
    "binary_focal_crossentropy": "binary",
}


# Classes whose names are no snakes.
_WRITTEN_ALIKE = {"c_t_c": "ctc", "k_l_divergence": "kl_divergence"}


def label_kind(loss: Any) -> str | None:
    """The labels that a loss takes.

    Args:
        loss: What `compile(loss=...)` was given: a name, a function or a
            `keras.losses.Loss`.

    Returns:
        `"sparse"`, `"one-hot"` or `"binary"` for the crossentropies of
        Keras, None for any other loss.
    """
    return _CROSSENTROPIES.get(loss_name(loss))


def loss_name(loss: Any) -> str:
    """Name of a loss, as `"mean_squared_error"`.

    Args:
        loss: A name, a function, a partial of one or a `keras.losses.Loss`.
    """
    if isinstance(loss, str):
        if loss.lower() in ("crossentropy", "ce"):
            return loss  # Which one, Keras sees from the labels.
        loss = keras.losses.get(loss)
    if isinstance(loss, functools.partial):
        return loss_name(loss.func)
    if isinstance(loss, keras.losses.Loss):
        of_keras = [c for c in type(loss).__mro__ if _is_of_keras(c)]
        name = _snake_case(of_keras[0].__name__)
        if of_keras[0] is not keras.losses.Loss:
            return _WRITTEN_ALIKE.get(name, name)
        return type(loss).__name__
    name = getattr(loss, "__name__", None) or type(loss).__name__
    # What others call by a name of Keras' need not be the same.
    return name if _is_of_keras(loss) else f"{name}()"


def _is_of_keras(kind):
    return str(getattr(kind, "__module__", "")).startswith("keras.")


def uses_logits(loss: Any) -> bool:
    """Whether a loss takes logits, as far as it tells.

    A name or a function takes probabilities, unless `from_logits` is bound
    to it by `functools.partial`.

    Args:
        loss: What `compile(loss=...)` was given.
    """
    if isinstance(loss, functools.partial):
        return bool(loss.keywords.get("from_logits", False))
    if isinstance(loss, keras.losses.Loss):
        return bool(loss.get_config().get("from_logits", False))
    return False


def check_from_logits(network: keras.Model, loss: Any, name: str) -> None:
    """Refuses a loss that takes logits for probabilities or the reverse.

    Args:
        network: A built model.
        loss: What `compile(loss=...)` was given.
        name: What the error calls the network.

    Raises:
        ValueError: If the last activation and `from_logits` contradict.
    """
    kind = label_kind(loss)
    if kind is None:
        return
    activation = final_activation(network)
    squashing = "sigmoid" if kind == "binary" else "softmax"
    if uses_logits(loss) and activation in ("softmax", "sigmoid"):
        raise ValueError(
            f"{name} ends in a {activation}, but the loss has "
            "from_logits=True, so the probabilities would be squashed twice. "
            "Use from_logits=False, or end the network in a linear layer."
        )
    if not uses_logits(loss) and activation == "linear":
        raise ValueError(
            f"{name} ends in a linear layer, but the loss takes "
            f"probabilities (from_logits=False). Use from_logits=True, or "
            f"end the network in a {squashing}."
        )


def check_labels(labels: Any, units: int, loss: Any, rank: int = 2) -> None:
    """Refuses labels that do not fit the units and the loss.

    Args:
        labels: Array, tensor or specification (anything with a `shape`).
            Values are looked at where they are NumPy arrays.
        units: Number of output units of the networks.
        loss: What `compile(loss=...)` was given.
        rank: Rank of the networks' output: 2 for one prediction an image,
            more where there is one for each pixel or step. Defaults to 2.

    Raises:
        ValueError: If the shape or a value does not fit.
    """
    kind = label_kind(loss)
    shape = tuple(labels.shape)
    if kind == "one-hot" and (len(shape) < 2 or shape[-1] != units):
        raise ValueError(
            f"The loss takes one-hot labels of shape (batch, {units}), one "
            f"for each output unit. Received labels of shape {shape}. Give "
            "keras.utils.to_categorical(labels), or use "
            "SparseCategoricalCrossentropy for integer labels."
        )
    if kind != "sparse":
        return
    one_each = len(shape) == rank - 1
    if not one_each and (len(shape) != rank or shape[-1] not in (1, None)):
        wanted = ", ".join(["batch", *["..."] * (rank > 2)])
        raise ValueError(
            f"The loss takes integer labels of shape ({wanted},), one for each "
            f"prediction. Received labels of shape {shape}. Use "
            "CategoricalCrossentropy for one-hot labels."
        )
    if isinstance(labels, np.ndarray) and labels.size:
        labels = labels[labels != getattr(loss, "ignore_class", None)]
    if isinstance(labels, np.ndarray) and labels.size:
        low, high = labels.min(), labels.max()
        if low < 0 or high >= units:
            raise ValueError(label_range_message(units, low, high))


def label_range_message(units: int, low: Any, high: Any) -> str:
    """The error for labels outside [0, units)."""
    return (
        f"Labels must be within 0 and {units - 1}: the networks have "
        f"{units} output units. Received labels from {low} to {high}. Give "
        "the networks one unit for each class."
    )


@contextlib.contextmanager
def label_errors_named(units: int | None) -> Iterator[None]:
    """Turns what TensorFlow says of a label out of range into a ValueError.

    Labels inside a dataset are seen in the step only. On a GPU TensorFlow
    does not look: there the loss is not finite.

    Args:
        units: Number of output units of the networks.
    """
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        found = re.search(r"label value of (-?\d+) which is", str(error))
        if not found:
            raise
        raise ValueError(
            f"A label of the data is {found[1]}, outside of 0 to "
            f"{units - 1}: the networks have {units} output units. Give the "
            "networks one unit for each class."
        ) from error


def _snake_case(name):
    letters = [
        f"_{c.lower()}" if c.isupper() and i else c.lower()
        for i, c in enumerate(name)
    ]
    return "".join(letters)
