"""What is connected to what, and which convolution feeds each other layer."""

from collections.abc import Sequence

import keras

from keras_graft.structure.conv_layers import is_convolution
from keras_graft.structure.conv_layers import leaf_layers
from keras_graft.structure.graph import calls_of
from keras_graft.structure.graph import functional_part
from keras_graft.structure.graph import graph_nodes
from keras_graft.structure.graph import maker_of
from keras_graft.structure.graph import sublayers


def feeding_convolutions(
    model: keras.Model,
) -> tuple[dict[int, keras.layers.Layer | None], bool]:
    """Finds, for each layer without a kernel, the convolution that feeds it.

    In a functional or sequential model that is the nearest convolution
    upstream in the graph; of several at the same distance, the last one in
    layer order. A subclassed model has no graph: there it is the convolution
    created last before the layer.

    Args:
        model: A built Keras model.

    Returns:
        `(owners, has_graph)`: `owners` maps the `id` of every layer that is
        no convolution to its convolution, or to None where there is none
        upstream; `has_graph` is False where the order of creation stood in
        for a graph somewhere in the model.
    """
    layers = [layer for _, layer in leaf_layers(model)]
    owners = _by_creation_order(layers)
    graph = _Graph()
    has_graph = graph.add(model)
    rank = {id(layer): i for i, layer in enumerate(layers)}
    for layer in layers:
        # What a layer made of layers owns itself goes with the convolution
        # inside it, which the order of creation has found.
        if id(layer) in graph.upstream and not _last_convolution(layer):
            owners[id(layer)] = graph.nearest_convolution(layer, rank)
    return owners, has_graph


def connections(model: keras.Model) -> tuple[list[tuple], list]:
    """Lists what is connected to what in a model's graph.

    Nested models are entered: their layers stand in the place of the model.

    Args:
        model: A built Keras model.

    Returns:
        `(edges, outputs)`: pairs (operation that makes a tensor, operation
        that takes it), each once, and the operations that make the model's
        outputs. Both are empty where the model has no graph.
    """
    graph = _Graph()
    graph.add(model)
    if not graph.operations:
        return [], []
    edges = {
        (id(producer), id(taker)): (producer, taker)
        for taker in graph.operations
        for producer in graph.upstream[id(taker)]
    }
    outputs = functional_part(model).outputs
    return list(edges.values()), [_producer(tensor) for tensor in outputs]


def _by_creation_order(layers: Sequence) -> dict:
    owners, last = {}, None
    for layer in layers:
        if is_convolution(layer):
            last = layer
        else:
            owners[id(layer)] = last
    return owners


class _Graph:
    """The operations of a model and its nested models as one flat graph."""

    def __init__(self):
        self.upstream: dict[int, list] = {}
        self.operations: list = []

    def add(self, model) -> bool:
        """Adds a model's operations; says whether all of it is a graph."""
        graph = functional_part(model)
        if graph is None:
            return False
        complete = True
        nodes = set(graph_nodes(graph))
        for operation in graph.operations:
            tensors = [
                tensor
                for node in calls_of(operation)
                # The others are in other models.
                if node in nodes
                for tensor in node.input_tensors
            ]
            self.upstream.setdefault(id(operation), []).extend(
                _producer(tensor) for tensor in tensors
            )
            nested = functional_part(operation)
            if nested is not None:
                complete &= self.add(nested)
                self._connect_inputs(nested, tensors)
                continue
            self.operations.append(operation)
            if _is_composite(operation):
                complete = False
        return complete

    def _connect_inputs(self, nested, tensors):
        inner = [_producer(tensor) for tensor in nested.inputs]
        for i, tensor in enumerate(tensors):
            self.upstream[id(inner[i % len(inner)])].append(_producer(tensor))

    def nearest_convolution(self, layer, rank):
        seen = {id(layer)}
        frontier = self.upstream[id(layer)]
        while frontier:
            found = [c for c in map(_last_convolution, frontier) if c]
            if found:
                return max(found, key=lambda c: rank[id(c)])
            further = []
            for operation in frontier:
                if id(operation) not in seen:
                    seen.add(id(operation))
                    further += self.upstream.get(id(operation), [])
            frontier = further
        return None


def _is_composite(operation):
    """Whether an operation is a layer made of layers that hold weights."""
    return any(child.weights for child in sublayers(operation))


def _producer(tensor):
    """The leaf operation that makes a tensor, nested models entered."""
    operation, index = maker_of(tensor)
    nested = functional_part(operation)
    return operation if nested is None else _producer(nested.outputs[index])


def _last_convolution(operation):
    """A convolution, or the last one created inside a composite layer."""
    if is_convolution(operation):
        return operation
    if not isinstance(operation, keras.layers.Layer):
        return None
    layers = [layer for _, layer in leaf_layers(operation)]
    inside = [layer for layer in layers if is_convolution(layer)]
    return inside[-1] if inside else None
