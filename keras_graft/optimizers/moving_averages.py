"""The moving averages of weights that an optimizer with `use_ema` keeps."""

import keras


def inner_optimizer(
    optimizer: keras.optimizers.Optimizer,
) -> keras.optimizers.Optimizer:
    """The optimizer inside a `LossScaleOptimizer`; else itself."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def averages_of(
    optimizer: keras.optimizers.Optimizer,
) -> dict[int, keras.Variable]:
    """The moving average of each weight.

    Args:
        optimizer: A Keras optimizer, built.

    Returns:
        For the `id` of each trainable variable its average; empty without
        `use_ema=True`.
    """
    inner = inner_optimizer(optimizer)
    if not inner.use_ema:
        return {}
    # Keras gives no public access to them (3.15).
    averages = inner._model_variables_moving_average
    return {
        id(variable): average
        for variable, average in zip(
            inner._trainable_variables, averages, strict=True
        )
        if average is not None
    }


def keep_as_averages(optimizer: keras.optimizers.Optimizer) -> None:
    """Takes the weights, as they are, for their moving averages.

    Args:
        optimizer: A Keras optimizer, built.
    """
    averages = averages_of(optimizer)
    for variable in inner_optimizer(optimizer)._trainable_variables:
        if id(variable) in averages:
            averages[id(variable)].assign(variable)
