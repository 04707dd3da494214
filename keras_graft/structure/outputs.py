"""What networks give: logits or probabilities."""

from collections.abc import Sequence

import keras
import tensorflow as tf

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


def as_logits(outputs: tf.Tensor, from_logits: bool) -> tf.Tensor:
    """Float32 logits whose softmax is what a network predicts.

    Args:
        outputs: Logits, or probabilities where `from_logits` is False; shape
            (batch, classes).
        from_logits: What `outputs` are.

    Returns:
        Tensor of the same shape, float32.
    """
    outputs = tf.cast(outputs, "float32")
    if from_logits:
        return outputs
    return tf.math.log(tf.maximum(outputs, keras.config.epsilon()))


def as_probabilities(outputs: tf.Tensor, from_logits: bool) -> tf.Tensor:
    """Float32 probabilities: softmax over classes, sigmoid for one unit.

    Args:
        outputs: Shape (batch, units).
        from_logits: Whether `outputs` are logits; otherwise they are
            returned as they are.

    Returns:
        Tensor of the same shape, float32.
    """
    outputs = tf.cast(outputs, "float32")
    if not from_logits:
        return outputs
    if outputs.shape[-1] == 1:
        return tf.sigmoid(outputs)
    return tf.nn.softmax(outputs)


def mean_probabilities(
    outputs: Sequence[tf.Tensor], live: tf.Tensor, from_logits: bool
) -> tf.Tensor:
    """The ensemble: the mean of the live networks' probabilities.

    Args:
        outputs: N predictions of shape (batch, units).
        live: Shape (N,), float32; if none is live, all count.
        from_logits: Whether `outputs` are logits.

    Returns:
        Shape (batch, units), float32.
    """
    live = tf.where(tf.reduce_any(live > 0), live, tf.ones_like(live))
    total = tf.add_n(
        [
            tf.where(alive, as_probabilities(output, from_logits), 0.0)
            for alive, output in zip(tf.unstack(live > 0), outputs, strict=True)
        ]
    )
    return total / tf.reduce_sum(live)
