"""The graph of a model: its calls, and which convolution feeds which layer."""

from collections.abc import Iterator
from collections.abc import Sequence

import keras

from keras_graft.structure.conv_layers import is_convolution
from keras_graft.structure.conv_layers import leaf_layers


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
    functional = getattr(model, "_functional", None) or model
    return list(edges.values()), [_producer(t) for t in functional.outputs]


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
        model = getattr(model, "_functional", None) or model
        if not _is_functional(model):
            return False
        complete = True
        # An operation's own list holds its calls in other models too, and
        # Keras has no public list of a model's calls (Keras 3.15).
        nodes = {
            node for level in model._nodes_by_depth.values() for node in level
        }
        for operation in model.operations:
            tensors = [
                tensor
                for node in operation._inbound_nodes
                if node in nodes
                for tensor in node.input_tensors
            ]
            self.upstream.setdefault(id(operation), []).extend(
                _producer(tensor) for tensor in tensors
            )
            nested = getattr(operation, "_functional", None) or operation
            if _is_functional(nested):
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


def _is_functional(model):
    return isinstance(model, keras.Model) and hasattr(model, "operations")


def _is_composite(operation):
    """Whether an operation is a layer made of layers that hold weights."""
    children = getattr(operation, "_layers", None)
    return bool(children) and any(child.weights for child in children)


def _producer(tensor):
    """The leaf operation that makes a tensor, nested models entered."""
    operation, _, index = tensor._keras_history
    nested = getattr(operation, "_functional", None) or operation
    if _is_functional(nested):
        return _producer(nested.outputs[index])
    return operation


def _last_convolution(operation):
    """A convolution, or the last one created inside a composite layer."""
    if is_convolution(operation):
        return operation
    if not isinstance(operation, keras.layers.Layer):
        return None
    layers = [layer for _, layer in leaf_layers(operation)]
    inside = [layer for layer in layers if is_convolution(layer)]
    return inside[-1] if inside else None


def functional_part(model: keras.layers.Layer) -> keras.Model | None:
    """The graph of a functional or sequential model, None without one."""
    model = getattr(model, "_functional", None) or model
    is_graph = isinstance(model, keras.Model) and hasattr(model, "operations")
    return model if is_graph else None


def graph_nodes(graph: keras.Model) -> list:
    """The calls that make up a graph, nested models closed."""
    # Keras has no public list of them, and an operation's own list holds its
    # calls in other models too (Keras 3.15).
    return [node for nodes in graph._nodes_by_depth.values() for node in nodes]


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
