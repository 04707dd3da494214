"""Where the output of each convolution goes: its BatchNormalization, its
activation."""

import dataclasses

import keras

from keras_graft.structure.connections import feeding_convolutions
from keras_graft.structure.conv_layers import is_convolution
from keras_graft.structure.conv_layers import leaf_layers
from keras_graft.structure.graph import graph_nodes
from keras_graft.structure.graph import graphs

_ACTIVATIONS = (
    keras.layers.Activation,
    keras.layers.ELU,
    keras.layers.LeakyReLU,
    keras.layers.PReLU,
    keras.layers.ReLU,
)


@dataclasses.dataclass(frozen=True)
class Outlet:
    """The output of one call of a convolution, followed through the graph.

    Attributes:
        layer: The convolution.
        batch_norm: The BatchNormalization that takes the output as it is, if
            there is one.
        tensor: The symbolic output after BatchNormalization and activation,
            as far as nothing else takes the output before.
        read_after: Name of the layer that `tensor` comes from.
    """

    layer: keras.layers.Layer
    batch_norm: keras.layers.BatchNormalization | None
    tensor: keras.KerasTensor
    read_after: str


def outlets(graph: keras.Model) -> list[Outlet]:
    """Follows every convolution that a graph calls itself.

    Args:
        graph: What `functional_part` returned; nested models are not entered.

    Returns:
        One `Outlet` for each call of a convolution.
    """
    consumers = _consumers(graph)
    return [
        _follow(node, consumers)
        for node in graph_nodes(graph)
        if is_convolution(node.operation)
    ]


def batch_norms(
    model: keras.Model,
) -> dict[int, keras.layers.BatchNormalization]:
    """Finds the BatchNormalization that each convolution feeds.

    In a graph it is the one that takes the convolution's output as it is; of
    several (a shared convolution), the first. Where there is no graph it is
    the first one that was created after the convolution and before the next.

    Args:
        model: A built Keras model.

    Returns:
        From the `id` of a convolution to its layer; convolutions without one
        are absent.
    """
    found, in_graph = {}, set()
    for graph in graphs(model):
        in_graph.update(id(operation) for operation in graph.operations)
        for outlet in outlets(graph):
            if outlet.batch_norm is not None:
                found.setdefault(id(outlet.layer), outlet.batch_norm)
    owners, _ = feeding_convolutions(model)
    for _, layer in leaf_layers(model):
        owner = owners.get(id(layer))
        if (
            isinstance(layer, keras.layers.BatchNormalization)
            and owner is not None
            and not in_graph & {id(layer), id(owner)}
        ):
            found.setdefault(id(owner), layer)
    return found


def channel_axis(layer: keras.layers.Layer) -> int:
    """Axis of a convolution's output that numbers its filters."""
    return 1 if layer.data_format == "channels_first" else -1


def _consumers(graph):
    """From the `id` of a symbolic tensor to the operations that take it."""
    consumers: dict[int, list] = {}
    for node in graph_nodes(graph):
        for tensor in node.input_tensors:
            consumers.setdefault(id(tensor), []).append(node)
    for tensor in graph.outputs:
        consumers.setdefault(id(tensor), []).append(None)
    return consumers


def _follow(node, consumers):
    layer = node.operation
    activated = layer.activation is not keras.activations.linear
    batch_norm = None
    if not activated:
        following = _only_consumer(node, consumers)
        if _normalises_channels(following, layer, node.output_tensors[0]):
            batch_norm, node = following.operation, following
            following = _only_consumer(node, consumers)
        if following and isinstance(following.operation, _ACTIVATIONS):
            node = following
    return Outlet(
        layer, batch_norm, node.output_tensors[0], node.operation.name
    )


def _only_consumer(node, consumers):
    taken_by = consumers.get(id(node.output_tensors[0]), [])
    return taken_by[0] if len(taken_by) == 1 else None


def _normalises_channels(node, convolution, tensor):
    if node is None:
        return False
    layer = node.operation
    if not isinstance(layer, keras.layers.BatchNormalization):
        return False
    rank = len(tensor.shape)
    return layer.axis % rank == channel_axis(convolution) % rank
