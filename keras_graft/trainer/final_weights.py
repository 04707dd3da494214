"""Callbacks that decide which weights `fit` ends with: one at a time."""

from collections.abc import Sequence

import keras

from keras_graft.swa import StochasticWeightAveraging


def refuse_rivals(callbacks: Sequence[keras.callbacks.Callback]) -> None:
    """Refuses callbacks of which one undoes what the other has put in place.

    Args:
        callbacks: What `fit` was given.

    Raises:
        ValueError: Naming the two.
    """
    means = [c for c in callbacks if isinstance(c, StochasticWeightAveraging)]
    restores = [
        c
        for c in callbacks
        if isinstance(c, keras.callbacks.EarlyStopping)
        and c.restore_best_weights
    ]
    swaps = [
        c for c in callbacks if isinstance(c, keras.callbacks.SwapEMAWeights)
    ]
    for rivals in (means + restores, swaps, (means + swaps) if means else []):
        if len(rivals) > 1:
            first, second = map(_named, rivals[:2])
            raise ValueError(
                f"{first} and {second} each put weights in place when `fit` "
                "ends, and one would undo what the other did. Leave one out; "
                "EarlyStopping can do without restore_best_weights."
            )
    if restores and not all(c.swap_on_epoch for c in swaps):
        raise ValueError(
            "EarlyStopping(restore_best_weights=True) keeps the weights at the "
            "end of an epoch, but what is validated with SwapEMAWeights() are "
            "averages of them: other weights than the judged ones would be "
            "restored. Use SwapEMAWeights(swap_on_epoch=True)."
        )


def _named(callback):
    if isinstance(callback, keras.callbacks.EarlyStopping):
        return "EarlyStopping(restore_best_weights=True)"
    return type(callback).__name__
