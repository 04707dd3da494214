"""Which filters ever put out something above zero on a batch of data."""

import keras
import numpy as np

from keras_graft.structure.graph import functional_part
from keras_graft.structure.graph import graph_nodes
from keras_graft.structure.outlets import channel_axis
from keras_graft.structure.outlets import outlets

# Every convolution's output is held at once: few examples bound the memory.
_CHUNK = 32


def firing_channels(
    model: keras.Model, data: object
) -> tuple[dict[int, np.ndarray], dict[int, str], int]:
    """Runs a batch and finds the channels that are above zero anywhere.

    A channel is read where the graph shows its final form: after the
    BatchNormalization and the activation that follow the convolution, as far
    as nothing else takes the output before them. The network runs in
    inference mode. No weight changes.

    Args:
        model: A functional or sequential model.
        data: Inputs as the model takes them: an array of shape
            (examples, ...), or a list or dict of arrays.

    Returns:
        `(fires, read_after, examples)`: from the `id` of a convolution to an
        array of shape (channels,), bool, and to the name of the layer that
        it was read after; and the number of examples. Convolutions out of
        the graph's sight (inside layers made of layers) are absent.

    Raises:
        ValueError: If the model has no graph or the data is no batch.
    """
    graph = functional_part(model)
    if graph is None:
        raise ValueError(
            "Filters that never fire are found in functional and sequential "
            f"models only: {model.name!r} is a subclassed one, which has no "
            "graph. Leave `data` out."
        )
    examples = _count_examples(data)
    fires, read_after = {}, {}
    for start in range(0, examples, _CHUNK):
        chunk = keras.tree.map_structure(
            lambda part: part[start : start + _CHUNK], data
        )
        _run(graph, graph.input, chunk, fires, read_after)
    return fires, read_after, examples


def _count_examples(data):
    parts = keras.tree.flatten(data)
    shapes = [tuple(getattr(part, "shape", ())) for part in parts]
    lengths = {shape[0] if shape else 0 for shape in shapes}
    if len(lengths) != 1 or lengths == {0}:
        raise ValueError(
            "`data` must be a batch of inputs: an array of shape "
            "(examples, ...), or a list or dict of arrays of equally many "
            "examples, without labels. Received: "
            + (f"shapes {shapes}" if parts else f"{data!r}")
        )
    return lengths.pop()


def _run(graph, inputs, values, fires, read_after):
    """Runs a graph, then the models nested in it on what they are given."""
    found = outlets(graph)
    nested = [
        (functional_part(node.operation), node.input_tensors)
        for node in graph_nodes(graph)
        if functional_part(node.operation)
    ]
    wanted = [outlet.tensor for outlet in found]
    wanted += [tensor for _, tensors in nested for tensor in tensors]
    if not wanted:
        return
    # A second model over the same graph: it adds no call to any layer. Keras
    # returns a list of one tensor as that tensor.
    outputs = keras.Model(inputs, wanted)(values, training=False)
    outputs = iter(keras.tree.flatten(outputs))
    for outlet in found:
        layer = outlet.layer
        above = next(outputs) > 0
        axis = channel_axis(layer) % len(above.shape)
        others = [i for i in range(len(above.shape)) if i != axis]
        fired = keras.ops.convert_to_numpy(keras.ops.any(above, axis=others))
        fires[id(layer)] = fires.get(id(layer), False) | fired
        read_after.setdefault(id(layer), outlet.read_after)
    for inner, tensors in nested:
        given = [next(outputs) for _ in tensors]
        _run(inner, inner.inputs, given, fires, read_after)
