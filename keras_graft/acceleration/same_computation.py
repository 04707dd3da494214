"""Whether two traced functions compute the same."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

Trace = tf.types.experimental.ConcreteFunction


def same_computation(one: Trace, other: Trace) -> bool:
    """Whether two traces make the same results of the same inputs.

    They do if they hold the same operations, with the same settings and
    constants, wired alike. Names do not count. What cannot be compared is
    another computation: a branch or a loop, which is a function of its own,
    and a variable or a table that is not among the inputs.

    Args:
        one: A trace, with its variables among its inputs.
        other: Another one.
    """
    return _anonymous(one.graph) == _anonymous(other.graph) and _same_constants(
        one.captured_inputs, other.captured_inputs
    )


def _anonymous(graph):
    """Operations, inputs and outputs by their order, not by their names."""
    definition = graph.as_graph_def()
    order = {node.name: str(i) for i, node in enumerate(definition.node)}

    def place(name):
        control = "^" if name.startswith("^") else ""
        operation, _, output = name.removeprefix("^").partition(":")
        return f"{control}{order[operation]}:{output}"

    for node in definition.node:
        wires = [place(name) for name in node.input]
        node.name = ""
        node.attr.pop("_user_specified_name", None)
        node.input[:] = wires
    return (
        definition.SerializeToString(deterministic=True),
        [(place(t.name), t.dtype, str(t.shape)) for t in graph.inputs],
        [place(t.name) for t in graph.outputs],
    )


def _same_constants(one: Sequence[tf.Tensor], other: Sequence[tf.Tensor]):
    return len(one) == len(other) and all(
        a is b or (_is_constant(a) and _is_constant(b) and _equal(a, b))
        for a, b in zip(one, other, strict=True)
    )


def _is_constant(tensor):
    return not tf.is_symbolic_tensor(tensor) and tensor.dtype != tf.resource


def _equal(a, b):
    return a.dtype == b.dtype and np.array_equal(a.numpy(), b.numpy())
