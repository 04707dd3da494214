"""Private places of Keras and TensorFlow: all in the table, all still there.

A canary that fails says which place has gone; the table says what a user then
meets, and where to mend it.
"""

import ast
import functools
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_graft.distribution.keras_gaps import PRIVATE_PLACES
from keras_graft.distribution.keras_gaps import STOCK_CALLBACKS

PACKAGE = pathlib.Path(__file__).resolve().parents[2] / "keras_graft"
TABLE = "distribution/keras_gaps.py"
# Public, whatever they look like: named tuples, and the way out of a process.
NOT_PRIVATE = {"_replace", "_asdict", "_exit", "_fields"}


@functools.cache
def trees():
    return [
        (path.relative_to(PACKAGE).as_posix(), ast.parse(path.read_text()))
        for path in sorted(PACKAGE.rglob("*.py"))
    ]


def own_names():
    """Every name with an underscore that the package itself defines."""
    names = set()
    for _, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                names.add(node.name)
            elif isinstance(node, ast.Attribute | ast.Name) and isinstance(
                node.ctx, ast.Store
            ):
                names.add(getattr(node, "attr", None) or node.id)
    return names


@functools.cache
def uses(tree):
    """Attributes, texts and keywords of a file: how a place can be named."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value)
    return found


def test_every_private_attribute_is_in_the_table():
    own, known = own_names(), {place.name for place in PRIVATE_PLACES}
    found = {
        f"{file}: {node.attr}"
        for file, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr.startswith("_")
        and not node.attr.startswith("__")
        and node.attr not in own | known | NOT_PRIVATE
    }
    assert found == set()


@pytest.mark.parametrize("place", PRIVATE_PLACES, ids=lambda p: p.name)
def test_a_private_place_is_used_at_home_only(place):
    users = {
        file
        for file, tree in trees()
        if place.name in uses(tree) and file != TABLE
    }
    away = {file for file in users if not file.startswith(place.home)}
    assert away == set()
    assert users or place.home == (TABLE,)


def dense():
    return keras.layers.Dense(1)


def sequential():
    return keras.Sequential([keras.Input((2,)), dense()])


def built(optimizer):
    model = sequential()
    optimizer.build(model.trainable_variables)
    return optimizer, model


def functional_part_of_a_sequential_model():
    assert hasattr(sequential()._functional, "operations")


def nodes_of_a_functional_model():
    inputs = keras.Input((2,))
    model = keras.Model(inputs, dense()(inputs))
    levels = list(model._nodes_by_depth.values())
    assert sum(map(len, levels)) == 2
    assert levels[0][0].operation in model.operations


def calls_of_a_layer():
    layer = dense()
    tensors = [keras.Input((2,)) for _ in range(2)]
    for tensor in tensors:
        layer(tensor)
    taken = [node.input_tensors[0] for node in layer._inbound_nodes]
    assert [id(t) for t in taken] == [id(t) for t in tensors]


def maker_of_a_tensor():
    layer = dense()
    operation, node, index = layer(keras.Input((2,)))._keras_history
    assert (operation, node, index) == (layer, 0, 0)


def layers_of_a_layer():
    class Block(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.inner = dense()

    block = Block()
    assert list(block._layers) == [block.inner]


def metrics_of_a_layer():
    class Watched(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.mean = keras.metrics.Mean()

    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            self.watched, self.sum = Watched(), keras.metrics.Sum()

    model = Model()
    model.compile("sgd", "mse", metrics=["mae"])
    assert list(model._metrics) == [model.sum]
    assert list(model.watched._metrics) == [model.watched.mean]


def mask_of_a_tensor():
    masked = keras.layers.Masking()(np.array([[[0.0], [1.0]]]))
    assert np.asarray(masked._keras_mask).tolist() == [[False, True]]


def variables_of_an_optimizer():
    optimizer, model = built(keras.optimizers.SGD())
    assert [
        v is w
        for v, w in zip(
            optimizer._trainable_variables,
            model.trainable_variables,
            strict=True,
        )
    ] == [True, True]
    assert optimizer._get_variable_index(model.trainable_variables[1]) == 1


def averages_of_an_optimizer():
    optimizer, model = built(keras.optimizers.SGD(use_ema=True))
    shapes = [a.shape for a in optimizer._model_variables_moving_average]
    assert shapes == [v.shape for v in model.trainable_variables]


def exclusions_of_an_optimizer():
    optimizer = keras.optimizers.AdamW()
    assert "_exclude_from_weight_decay" not in vars(optimizer)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    assert "_exclude_from_weight_decay" in vars(optimizer)


# A gradient's name can be registered once.
@functools.cache
def names_of_gradients():
    @tf.RegisterGradient("CanaryRelu")
    def _(op, upstream):
        return 7.0 * upstream

    with tf.Graph().as_default() as graph:
        with graph.gradient_override_map({"Relu": "CanaryRelu"}):
            x = tf.constant([1.0])
            y = tf.nn.relu(x)
        name = y.op.get_attr("_gradient_op_type").decode()
        graph.get_collection_ref("canary").append(y)
        assert graph.get_collection_ref("canary") == [y]
        gradient = tf.gradients(y, x)[0]
        with tf.compat.v1.Session() as session:
            assert session.run(gradient).tolist() == [7.0]
    assert name == "CanaryRelu"


def functions_that_stay_functions():
    @tf.function(autograph=False, experimental_attributes={"_noinline": True})
    def double(x):
        return 2.0 * x

    @tf.function(autograph=False)
    def twice(x):
        return double(x) + double(x)

    trace = twice.get_concrete_function(tf.TensorSpec([]))
    library = trace.graph.as_graph_def().library
    assert library.function[0].attr["_noinline"].b


def functions_given_other_variables():
    first, second = tf.Variable(1.0), tf.Variable(5.0)

    @tf.function(autograph=False)
    def add(x):
        first.assign_add(x)

    trace = add.get_concrete_function(tf.TensorSpec([]))

    @tf.function(autograph=False)
    def step():
        given = [second.handle for _ in trace.captured_inputs]
        trace.inference_fn.call_with_captures((tf.constant(2.0),), {}, given)

    step()
    assert (float(first), float(second)) == (1.0, 7.0)


def changes_of_a_stateless_scope():
    variable = keras.Variable(1.0)
    with keras.StatelessScope() as scope:
        variable.assign(2.0)
    assert set(scope.state_mapping) == {id(variable)}
    assert float(variable) == 1.0


def building_of_a_model():
    asked = []

    class Noted(keras.Sequential):
        def _maybe_symbolic_build(self, iterator=None, data_batch=None):
            asked.append(True)

    model = Noted([keras.Input((2,)), dense()])
    model.compile("sgd", "mse")
    model.fit(np.zeros((2, 2)), np.zeros((2, 1)), verbose=0)
    assert asked


def directions_of_metrics():
    """The better way of a metric of each kind that has one."""
    ways = {
        keras.metrics.SparseCategoricalAccuracy: "up",
        keras.metrics.AUC: "up",
        keras.metrics.F1Score: "up",
        keras.metrics.R2Score: "up",
        keras.metrics.MeanAbsoluteError: "down",
        keras.metrics.LogCoshError: "down",
        keras.metrics.KLDivergence: "down",
    }
    assert {kind: kind()._direction for kind in ways} == ways
    assert not hasattr(keras.metrics.Mean(), "_direction")


def states_of_stock_callbacks():
    made = {
        keras.callbacks.EarlyStopping: {},
        keras.callbacks.ReduceLROnPlateau: {},
        keras.callbacks.ModelCheckpoint: {"filepath": "x.keras"},
        keras.callbacks.SwapEMAWeights: {},
    }
    for kind, names in STOCK_CALLBACKS.items():
        callback = kind(**made[kind])
        model = sequential()
        model.compile(keras.optimizers.SGD(use_ema=True), "mse")
        callback.set_model(model)
        callback.on_train_begin()
        assert [n for n in names if not hasattr(callback, n)] == [], kind


CANARIES = {
    "_functional": functional_part_of_a_sequential_model,
    "_nodes_by_depth": nodes_of_a_functional_model,
    "_inbound_nodes": calls_of_a_layer,
    "_keras_history": maker_of_a_tensor,
    "_layers": layers_of_a_layer,
    "_metrics": metrics_of_a_layer,
    "_keras_mask": mask_of_a_tensor,
    "_trainable_variables": variables_of_an_optimizer,
    "_get_variable_index": variables_of_an_optimizer,
    "_model_variables_moving_average": averages_of_an_optimizer,
    "_exclude_from_weight_decay": exclusions_of_an_optimizer,
    "gradient_override_map": names_of_gradients,
    "get_collection_ref": names_of_gradients,
    "_gradient_op_type": names_of_gradients,
    "_noinline": functions_that_stay_functions,
    "call_with_captures": functions_given_other_variables,
    "state_mapping": changes_of_a_stateless_scope,
    "_maybe_symbolic_build": building_of_a_model,
    "_direction": directions_of_metrics,
    "_ema_weights_in_model": states_of_stock_callbacks,
    "_batches_seen_since_last_saving": states_of_stock_callbacks,
    "_last_batch_seen": states_of_stock_callbacks,
}


@pytest.mark.parametrize("place", PRIVATE_PLACES, ids=lambda p: p.name)
def test_a_private_place_is_still_there(place):
    CANARIES[place.name]()
