"""Counts the invalid filters of a network, layer by layer."""

import collections
from collections.abc import Iterable

import keras
import numpy as np

from keras_graft.diagnosis.diagnosis import GAMMA_THRESHOLD
from keras_graft.diagnosis.diagnosis import Diagnosis
from keras_graft.diagnosis.diagnosis import LayerDiagnosis
from keras_graft.diagnosis.filter_norms import check_thresholds
from keras_graft.diagnosis.filter_norms import count_invalid
from keras_graft.diagnosis.firing import firing_channels
from keras_graft.diagnosis.kernels import kernels_to_read
from keras_graft.diagnosis.kernels import norms_of_filters
from keras_graft.diagnosis.kernels import read
from keras_graft.structure.conv_layers import is_convolution
from keras_graft.structure.conv_layers import leaf_layers
from keras_graft.structure.kernel_measures import kernel_entropy
from keras_graft.structure.outlets import batch_norms
from keras_graft.structure.printable import printable

THRESHOLDS = (1.0, 0.1, 0.01, 0.001)


def diagnose(
    model: keras.Model,
    thresholds: Iterable[float] = THRESHOLDS,
    data: object = None,
) -> Diagnosis:
    """Counts the invalid filters of a network; only reads it.

    Frozen layers count, a layer that is used several times counts once.

    Args:
        model: Any built Keras model.
        thresholds: l1 norms below which a filter is invalid, above 0.
            Defaults to `(1.0, 0.1, 0.01, 0.001)`, those of arXiv 2004.12311.
        data: A batch of inputs as the model takes them, to find filters that
            never fire; for functional and sequential models. Defaults to
            None.

    Returns:
        A `Diagnosis`.

    Raises:
        ValueError: If the model is not built or has no convolution, a
            threshold is out of range, or `data` is no batch or comes with a
            model without a graph.

    Example:

    ```python
    print(keras_graft.diagnose(network, data=images[:256]))
    ```
    """
    if not isinstance(model, keras.layers.Layer):
        raise ValueError(f"`model` must be a Keras model. Received: {model!r}")
    thresholds = check_thresholds(thresholds)
    kernels, skipped = kernels_to_read(model)
    norms_after = batch_norms(model)
    fires, read_after, examples = {}, {}, None
    if data is not None:
        fires, read_after, examples = firing_channels(model, data)
    layers = []
    for kernel in kernels:
        owner = id(kernel.layer)
        gamma = getattr(norms_after.get(owner), "gamma", None)
        is_output = _numbers_the_output(kernel)
        fired = fires.get(owner) if is_output else None
        norms = norms_of_filters(kernel)
        layers.append(
            LayerDiagnosis(
                name=kernel.path,
                kind=printable(type(kernel.layer).__name__),
                filters=kernel.num_filters,
                invalid={t: count_invalid(norms, t) for t in thresholds},
                l1_mean=float(norms.mean()),
                l1_min=float(norms.min()),
                l1_max=float(norms.max()),
                entropy=kernel_entropy(read(kernel)),
                near_zero_gammas=_near_zero(gamma) if is_output else None,
                never_fire=None if fired is None else int(np.sum(~fired)),
                fires_after=None if fired is None else read_after[owner],
            )
        )
    return Diagnosis(
        name=printable(model.name),
        thresholds=thresholds,
        layers=tuple(layers),
        skipped=tuple(skipped),
        without_kernel=_layers_without_kernel(model),
        examples=examples,
    )


def _numbers_the_output(kernel):
    """Whether a filter is an output channel of the layer.

    Not so for the depthwise kernel of a separable convolution, whose filters
    end inside the layer.
    """
    return kernel.attribute != "depthwise_kernel"


def _near_zero(gamma):
    if gamma is None:
        return None
    values = keras.ops.convert_to_numpy(gamma)
    return int(np.sum(~(np.abs(values) >= GAMMA_THRESHOLD)))


def _layers_without_kernel(model):
    counts = collections.Counter(
        printable(type(layer).__name__)
        for _, layer in leaf_layers(model)
        if layer.weights and not is_convolution(layer)
    )
    return dict(counts)
