"""Names that TensorFlow takes for the scope of a layer."""

import re

import keras

_ROOT = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.\\/>-]*")
_INNER = re.compile(r"[A-Za-z0-9_.\\/>-]*")


def first_invalid_name(model: keras.Model) -> str | None:
    """The name of a model, or of a layer in it, that cannot be a scope.

    Keras takes such a name and saves it; the model fails when it is called in
    a compiled function, as in `predict`.

    Args:
        model: Any Keras model.

    Returns:
        The first such name, or None.
    """
    if model.name and not _ROOT.fullmatch(model.name):
        return model.name
    return next(
        (n for n in _names(model.layers) if not _INNER.fullmatch(n)), None
    )


def _names(layers):
    for layer in layers:
        yield layer.name
        yield from _names(getattr(layer, "layers", []))
