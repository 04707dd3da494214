"""The convolution kernels of a model, to be read only."""

import keras
import numpy as np

from keras_graft.diagnosis.filter_norms import filter_l1_norms
from keras_graft.structure.conv_layers import ConvKernel
from keras_graft.structure.conv_layers import conv_kernels


def kernels_to_read(
    model: keras.Model,
) -> tuple[list[ConvKernel], list[tuple[str, str]]]:
    """Finds the kernels that can be measured, frozen ones included.

    A kernel that is adapted by LoRA is measured as the layer applies it: the
    frozen kernel plus its update.

    Args:
        model: Any built Keras model.

    Returns:
        `(kernels, skipped)`: the kernels in layer order, and for each one
        left out a pair (path, reason).

    Raises:
        ValueError: If the model is not built, holds several networks, or
            has no kernel that can be measured.
    """
    if getattr(model, "networks", None):
        raise ValueError(
            f"{model.name!r} holds {len(model.networks)} networks. Give one "
            "of them (`model.networks[0]`), or all to `compare`."
        )
    if not model.built:
        raise ValueError(
            f"The model {model.name!r} is not built, so it has no weights to "
            "read. Call it on a batch or `build(input_shape)` first."
        )
    kernels, skipped = conv_kernels(model, read_only=True)
    if not kernels:
        reasons = "".join(f"\n  {path}: {why}" for path, why in skipped)
        raise ValueError(
            f"The model {model.name!r} has no convolution kernel to measure."
            + (f" Left out:{reasons}" if reasons else "")
        )
    return kernels, skipped


def read(kernel: ConvKernel) -> np.ndarray:
    """The kernel's value, float32 or float64."""
    value = keras.ops.convert_to_numpy(kernel.variable)
    wide = value.dtype == np.float64
    return value if wide else value.astype("float32", copy=False)


def norms_of_filters(kernel: ConvKernel) -> np.ndarray:
    """The l1 norm of each filter, shape (filters,), float64."""
    return filter_l1_norms(read(kernel), kernel.filter_axes)
