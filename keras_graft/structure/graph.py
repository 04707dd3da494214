"""The graph of a model: its calls, tensors and layers, as Keras keeps them.

Keras has no public access to most of it (3.15). What is private stands here
alone, see `distribution.keras_gaps.PRIVATE_PLACES`.
"""

from collections.abc import Iterator
from typing import Any

import keras


def functional_part(model: Any) -> keras.Model | None:
    """The graph of a functional or sequential model, None without one."""
    model = getattr(model, "_functional", None) or model
    is_graph = isinstance(model, keras.Model) and hasattr(model, "operations")
    return model if is_graph else None


def graphs(model: keras.layers.Layer) -> Iterator[keras.Model]:
    """A model's graph and those of the models nested in it, each once."""
    seen: set[int] = set()

    def walk(layer):
        graph = functional_part(layer)
        if graph is None or id(graph) in seen:
            return
        seen.add(id(graph))
        yield graph
        for operation in graph.operations:
            yield from walk(operation)

    yield from walk(model)


def graph_nodes(graph: keras.Model) -> list:
    """The calls that make up a graph, nested models closed."""
    return [node for nodes in graph._nodes_by_depth.values() for node in nodes]


def calls_of(operation: Any) -> list:
    """The calls of an operation, in whatever model, in their order."""
    return list(operation._inbound_nodes)


def maker_of(tensor: keras.KerasTensor) -> tuple[Any, int]:
    """The operation that made a symbolic tensor, and which output it is."""
    operation, _, index = tensor._keras_history
    return operation, index


def taken_by_maker(tensor: keras.KerasTensor) -> list:
    """What the call that made a symbolic tensor took."""
    operation, node, _ = tensor._keras_history
    return operation._inbound_nodes[node].input_tensors


def sublayers(layer: Any) -> list[keras.layers.Layer]:
    """The layers that a model or a layer is made of, one level down."""
    # Models list their layers. A layer made of layers has no public list;
    # `_layers` is Keras' own record of them.
    if isinstance(layer, keras.Model):
        return list(layer.layers)
    return list(getattr(layer, "_layers", ()))


def own_metrics(layer: Any) -> list[keras.metrics.Metric]:
    """The metrics that are attributes of a layer or a model itself.

    What a model was compiled with is none of them.
    """
    # `metrics` has those of sublayers and of `compile` too.
    return list(getattr(layer, "_metrics", ()))


def mask_of(tensor: Any) -> Any:
    """The mask that Keras' layers hand on beside a tensor, or None."""
    return getattr(tensor, "_keras_mask", None)


def with_mask(tensor: Any, mask: Any) -> Any:
    """The tensor, with a mask that Keras' losses and metrics look at."""
    if mask is not None:
        tensor._keras_mask = mask
    return tensor
