"""Names that TensorFlow takes for the scope of a layer."""

import re

import keras

_ROOT = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.\\/>-]*")
_INNER = re.compile(r"[A-Za-z0-9_.\\/>-]*")


def check_scope_names(model: keras.Model, called: str) -> None:
    """Refuses a model whose name, or a layer's in it, cannot be a scope.

    Keras takes such a name and saves it; the model fails when it is called in
    a compiled function, as in `predict`.

    Args:
        model: Any Keras model.
        called: What it is in the error, such as "The teacher 't'".

    Raises:
        ValueError: Naming the first such name.
    """
    name = _first_invalid_name(model)
    if name is not None:
        raise ValueError(
            f"{called} cannot be called in a compiled step, with Keras alone "
            f"neither: TensorFlow takes no scope of the name {name!r}, but "
            "letters, digits and _ . - only, and none of _ - at the beginning "
            "of a model's. Give the model or layer such a name, and save it "
            "again if it was loaded."
        )


def _first_invalid_name(model):
    if model.name and not _ROOT.fullmatch(model.name):
        return model.name
    return next(
        (n for n in _names(model.layers) if not _INNER.fullmatch(n)), None
    )


def _names(layers):
    for layer in layers:
        yield layer.name
        yield from _names(getattr(layer, "layers", []))
