"""Embedding networks: a backbone, a pooled feature, a neck, identities."""

from typing import Any

import keras

from keras_graft.checks.numbers import is_whole
from keras_graft.data.names import POOLINGS
from keras_graft.structure.graph import functional_part
from keras_graft.structure.graph import graph_nodes

# What ends the features of a classification network.
_POOLING_LAYERS = (
    keras.layers.GlobalAveragePooling2D,
    keras.layers.GlobalMaxPooling2D,
    keras.layers.Flatten,
)
# Of generalised-mean pooling: 1 is the mean, infinity the maximum.
_EXPONENT = 3.0
_LEAST = 1e-6
_CLASSIFIER_STDDEV = 0.001
# Ends the name of a model that gives embeddings.
SHIPPED = "_shipped"


def embedding_network(
    backbone: keras.Model,
    num_identities: int,
    pooling: str = "average",
    neck: bool = True,
    embedding_size: int | None = None,
    last_stride_1: bool = False,
    features: bool = False,
    seed: int = 0,
) -> keras.Model:
    """Puts an embedding and a classifier of identities on a backbone.

    The feature map is pooled, normalised by a BatchNormalization without a
    shift (the neck, arXiv 1903.07071: identities are told apart by angles,
    where metric losses pull distances), and classified without a bias. Cosine
    distance belongs to the embedding. Stock Keras throughout.

    Args:
        backbone: A functional Keras model that takes pixels, or whatever it
            is given, and ends in a feature map of shape [batch, height,
            width, channels]; of a classification network, what comes before
            its last global pooling. Its layers are used, unless
            `last_stride_1` copies them.
        num_identities: Identities that are trained on, 2 or more.
        pooling: `"average"`, or `"generalized_mean"` of exponent 3.
        neck: Whether there is one. Defaults to True.
        embedding_size: Numbers in an embedding, by a dense layer before the
            neck; None: as many as the backbone has channels.
        last_stride_1: Whether to leave out the last halving of the feature
            map, which gives it four times the places. The backbone is
            copied, weights too.
        features: Whether the network also gives what comes before the neck,
            `"features"`, for a triplet or circle loss.
        seed: Of the new layers' initial weights.

    Returns:
        A functional model that gives a dict: `"logits"` of shape [batch,
        num_identities] and `"embedding"` of shape [batch, size], float32.

    Raises:
        ValueError: If an argument is out of its range, or the backbone has no
            graph, no feature map or no last halving.

    Example:

    ```python
    backbone = keras.applications.ResNet50(
        include_top=False, input_shape=(256, 128, 3)
    )
    network = recognition.embedding_network(
        backbone, train.num_identities, last_stride_1=True
    )
    ```
    """
    if pooling not in POOLINGS:
        raise ValueError(
            f"`pooling` must be one of {', '.join(POOLINGS)}. Received: "
            f"{pooling!r}"
        )
    if not is_whole(num_identities, 2):
        raise ValueError(
            "`num_identities` must be a whole number from 2 on. Received: "
            f"{num_identities!r}"
        )
    if embedding_size is not None and not is_whole(embedding_size, 1):
        raise ValueError(
            "`embedding_size` must be a whole number from 1 on, or None. "
            f"Received: {embedding_size!r}"
        )
    body = feature_extractor(backbone)
    if last_stride_1:
        body = with_last_stride_1(body)
    pooled = _pooled(body.output, pooling)
    if embedding_size is not None:
        pooled = keras.layers.Dense(
            embedding_size,
            kernel_initializer=keras.initializers.HeNormal(seed),
            dtype="float32",
            name="reduction",
        )(pooled)
    embedding = pooled
    if neck:
        embedding = keras.layers.BatchNormalization(
            center=False,
            epsilon=1e-5,
            momentum=0.9,
            synchronized=True,
            dtype="float32",
            name="neck",
        )(pooled)
    logits = keras.layers.Dense(
        num_identities,
        use_bias=False,
        kernel_initializer=keras.initializers.RandomNormal(
            stddev=_CLASSIFIER_STDDEV, seed=seed + 1
        ),
        dtype="float32",
        name="identities",
    )(embedding)
    outputs = {"logits": logits, "embedding": embedding}
    if features:
        outputs["features"] = pooled
    return keras.Model(body.input, outputs, name=f"{backbone.name}_embedding")


def shipped_model(network: keras.Model) -> keras.Model:
    """The part of an embedding network that gives embeddings alone.

    Args:
        network: What `embedding_network` returned, trained.

    Returns:
        A functional model of the same layers: pixels in, embeddings of shape
        [batch, size] out. Plain Keras loads its file.

    Raises:
        ValueError: If the network gives no embedding.
    """
    outputs = network.output
    if not isinstance(outputs, dict) or "embedding" not in outputs:
        raise ValueError(
            "Only a network whose outputs are a dict with an 'embedding' can "
            f"be shipped as one of embeddings. Its outputs: {outputs}"
        )
    return keras.Model(
        network.input, outputs["embedding"], name=f"{network.name}{SHIPPED}"
    )


def feature_extractor(backbone: keras.Model) -> keras.Model:
    """A backbone up to its feature map.

    Args:
        backbone: As for `embedding_network`.

    Returns:
        The backbone, or a model of its layers up to what its last global
        pooling (or `Flatten`) takes.

    Raises:
        ValueError: If it has no graph or no feature map.
    """
    graph = functional_part(backbone)
    if graph is None or not getattr(backbone, "outputs", None):
        raise ValueError(
            "`backbone` must be a functional or sequential Keras model with "
            f"one output. Received: {backbone!r}"
        )
    outputs = backbone.outputs
    if len(outputs) == 1 and len(outputs[0].shape) == 4:
        return keras.Model(backbone.inputs[0], outputs[0], name=backbone.name)
    poolings = [
        layer for layer in backbone.layers if isinstance(layer, _POOLING_LAYERS)
    ]
    if len(outputs) != 1 or not poolings or len(poolings[-1].input.shape) != 4:
        raise ValueError(
            f"`backbone` '{backbone.name}' must end in a feature map of shape "
            "[batch, height, width, channels], or have a global pooling after "
            "one. Its outputs: "
            f"{[tuple(tensor.shape) for tensor in outputs]}. Give "
            "include_top=False where the model has it."
        )
    return keras.Model(
        backbone.inputs[0], poolings[-1].input, name=backbone.name
    )


def with_last_stride_1(body: keras.Model) -> keras.Model:
    """A copy of a backbone that does not halve its feature map once more.

    The layers whose strides take the map from the size before to the last one
    get strides of 1: in a ResNet the first convolution of the last stage and
    the one in its shortcut. Weights are copied: none has another shape.

    Args:
        body: What `feature_extractor` returned.

    Returns:
        A functional model.

    Raises:
        ValueError: If nothing halves the map, or its size is not known.
    """
    last = body.output.shape[1:3]
    if None in last:
        raise ValueError(
            "The last stride can be found where the size of the images is "
            "known. Give the backbone an `input_shape`."
        )
    strided = {
        id(node.operation): node
        for node in graph_nodes(functional_part(body))
        if _strides(node.operation) != (1, 1)
    }
    if not strided:
        raise ValueError(
            f"'{body.name}' has no layer with strides, so that there is no "
            "last one to leave out. Give last_stride_1=False."
        )
    areas = {
        key: _area(node.output_tensors[0]) for key, node in strided.items()
    }
    smallest = min(areas.values())
    chosen = {key for key, area in areas.items() if area == smallest}

    def copied(layer):
        config = layer.get_config()
        if id(layer) in chosen:
            config["strides"] = (1, 1)
        return layer.__class__.from_config(config)

    copy = keras.models.clone_model(body, clone_function=copied)
    copy.set_weights(body.get_weights())
    return copy


def _pooled(feature_map, pooling):
    # Squares and cubes of a half precision leave its range.
    feature_map = keras.layers.Activation(
        "linear", dtype="float32", name="feature_map"
    )(feature_map)
    if pooling == "average":
        return keras.layers.GlobalAveragePooling2D(
            dtype="float32", name="pool"
        )(feature_map)
    # Operations, not a layer of our own: plain Keras loads what is shipped.
    positive = keras.ops.maximum(feature_map, _LEAST)
    mean = keras.ops.mean(keras.ops.power(positive, _EXPONENT), axis=(1, 2))
    return keras.ops.power(mean, 1 / _EXPONENT)


def _strides(operation: Any) -> tuple:
    strides = getattr(operation, "strides", (1, 1))
    return tuple(strides) if isinstance(strides, tuple | list) else (1, 1)


def _area(tensor):
    return tensor.shape[1] * tensor.shape[2]
