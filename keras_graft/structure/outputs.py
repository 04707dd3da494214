"""How networks end: the names and last activations of their outputs."""

from typing import Any

import keras

from keras_graft.structure.graph import functional_part
from keras_graft.structure.graph import maker_of
from keras_graft.structure.graph import taken_by_maker


def final_activation(network: keras.layers.Layer) -> str | None:
    """Name of the activation that ends a network, where it can be seen.

    Args:
        network: Any Keras model or layer.

    Returns:
        `"softmax"`, `"sigmoid"`, `"linear"`, another name, or None if the
        last layer does not tell.
    """
    if isinstance(network, keras.Model):
        sequential = isinstance(network, keras.Sequential)
        if not sequential and not hasattr(network, "operations"):
            return None  # Subclassed: the last layer need not come last.
        outputs = getattr(network, "outputs", None)
        if outputs:
            return _activation_of(outputs[0])
        layers = network.layers
        return final_activation(layers[-1]) if layers else None
    if isinstance(network, keras.layers.Softmax):
        return "softmax"
    if isinstance(network, keras.layers.Activation | keras.layers.Dense):
        activation = network.activation
        if isinstance(activation, keras.layers.Layer):
            return final_activation(activation)
        return getattr(activation, "__name__", None)
    return None


def _activation_of(tensor):
    operation, _ = maker_of(tensor)
    name = final_activation(operation)
    if name == "linear" and isinstance(operation, keras.layers.Activation):
        # It only sets a dtype: what comes before it tells.
        return _activation_of(taken_by_maker(tensor)[0]) or name
    return name


def final_activations(network: keras.Model) -> list[str | None] | None:
    """Names of the activations that end the heads of a network.

    Args:
        network: A Keras model.

    Returns:
        A name or None for each output, in `keras.tree` order; None where the
        model does not show its outputs.
    """
    outputs = getattr(functional_part(network), "outputs", None)
    if outputs and len(outputs) > 1:
        return [_activation_of(tensor) for tensor in outputs]
    end = final_activation(network)
    # A subclassed model may have any number of them.
    return [end] if outputs or end is not None else None


def head_names(network: keras.Model, outputs: Any) -> list[str]:
    """Names of a network's heads, as Keras' losses and logs have them.

    Args:
        network: A Keras model.
        outputs: What it gives: a tensor, or a structure of tensors.

    Returns:
        A name for each tensor, in `keras.tree` order: the keys of dicts, else
        the names of the layers that end a functional model, else positions.
    """
    paths = [path for path, _ in keras.tree.flatten_with_path(outputs)]
    if isinstance(outputs, dict):
        return ["/".join(map(str, path)) for path in paths]
    names = getattr(network, "output_names", None)
    if names and len(names) == len(paths):
        return list(names)
    if len(paths) == 1:
        return ["output"]
    return [f"output_{i}" for i in range(len(paths))]
