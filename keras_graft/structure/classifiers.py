"""The layer that a network tells classes apart with."""

from typing import Any
from typing import NamedTuple

import keras

from keras_graft.structure.graph import functional_part
from keras_graft.structure.graph import maker_of
from keras_graft.structure.graph import taken_by_maker

# What may be between the logits of a classifier and its output.
_SOFTMAX = ("softmax", "linear")


class Classifier(NamedTuple):
    """How a network ends.

    Attributes:
        layer: The dense layer.
        features: The symbolic tensor that it takes, shape (batch, channels).
    """

    layer: keras.layers.Dense
    features: Any


def classifier_of(model: Any) -> Classifier | None:
    """Finds the dense layer that a network ends with.

    Args:
        model: Any Keras model.

    Returns:
        It, with a softmax or nothing after it; None where the graph of the
        model does not end so.
    """
    graph = functional_part(model)
    outputs = getattr(graph, "outputs", None)
    if not outputs or len(outputs) != 1 or len(graph.inputs) != 1:
        return None
    layer, tensor = maker_of(outputs[0])[0], outputs[0]
    while isinstance(layer, keras.layers.Softmax | keras.layers.Activation):
        if _activation(layer) not in _SOFTMAX:
            return None
        (tensor,) = taken_by_maker(tensor)
        layer = maker_of(tensor)[0]
    if not isinstance(layer, keras.layers.Dense):
        return None
    if _activation(layer) not in _SOFTMAX or len(tensor.shape) != 2:
        return None
    (features,) = taken_by_maker(tensor)
    return Classifier(layer, features)


def with_classifier(
    model: keras.Model, num_classes: int, initializer: Any = None
) -> keras.Model:
    """The network with logits of a dense layer of its own at its end.

    Args:
        model: A network with a classifier.
        num_classes: Number of logits.
        initializer: Of the kernel; None for the weights of the classifier
            that is there, which must have as many classes.

    Returns:
        A functional model that shares all other layers.
    """
    old, features = classifier_of(model)
    dense = keras.layers.Dense(
        num_classes,
        use_bias=old.use_bias if initializer is None else True,
        kernel_initializer=initializer or "glorot_uniform",
        dtype="float32",
        name="logits",
    )
    (inputs,) = functional_part(model).inputs
    made = keras.Model(inputs, dense(features), name=model.name)
    if initializer is None:
        dense.set_weights(old.get_weights())
    return made


def backbone_weights(model: keras.Model) -> list[keras.Variable]:
    """All weights but those of the classifier, in the network's order.

    Args:
        model: A built network; one without a classifier is backbone as a
            whole.
    """
    found = classifier_of(model)
    own = () if found is None else found.layer.weights
    left_out = {id(variable) for variable in own}
    return [v for v in model.weights if id(v) not in left_out]


def _activation(layer):
    if isinstance(layer, keras.layers.Softmax):
        return "softmax"
    return getattr(layer.activation, "__name__", None)
