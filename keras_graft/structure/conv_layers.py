"""Which convolutions take part, and which of them owns each other layer.

Functions only. A *kernel* is the weight of a convolution, a *filter* is one
output slice of it (`ConvKernel.filter_axes` says along which axes).
"""

import dataclasses
from collections.abc import Iterator
from collections.abc import Sequence

import keras
import numpy as np

from keras_graft.structure.graph import sublayers
from keras_graft.structure.printable import printable

if keras.backend.backend() != "tensorflow":
    raise ImportError(
        "keras_graft runs on Keras' TensorFlow backend. This process uses "
        f"{keras.backend.backend()!r}: set the environment variable "
        "KERAS_BACKEND=tensorflow before Keras is imported."
    )

# Layer class -> ((attribute that holds a kernel, its filter axes), ...).
# Keras stores a transposed kernel as (*window, filters, channels), and a
# depthwise kernel as (*window, channels, multiplier): one filter for each
# channel and multiplier.
_KERNELS = (
    (keras.layers.Conv1DTranspose, (("kernel", (-2,)),)),
    (keras.layers.Conv2DTranspose, (("kernel", (-2,)),)),
    (keras.layers.Conv3DTranspose, (("kernel", (-2,)),)),
    (
        (keras.layers.SeparableConv1D, keras.layers.SeparableConv2D),
        (("depthwise_kernel", (-2, -1)), ("pointwise_kernel", (-1,))),
    ),
    (
        (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D),
        (("kernel", (-2, -1)),),
    ),
    (
        (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D),
        (("kernel", (-1,)),),
    ),
)


@dataclasses.dataclass(frozen=True)
class ConvKernel:
    """One convolution kernel of a network.

    Attributes:
        layer: The Keras layer that holds it.
        attribute: Name of the layer's attribute, `"kernel"` but for separable
            convolutions.
        filter_axes: Axes of the kernel that number its filters.
        path: Name for people, unique within a model: the layers from the
            model down, joined by `/`, with the attribute where a layer has
            two kernels.
    """

    layer: keras.layers.Layer
    attribute: str
    filter_axes: tuple[int, ...]
    path: str

    @property
    def variable(self) -> keras.Variable:
        return getattr(self.layer, self.attribute)

    @property
    def num_filters(self) -> int:
        shape = self.variable.shape
        return int(np.prod([shape[axis] for axis in self.filter_axes]))


def filter_rows(kernel: np.ndarray, filter_axes: Sequence[int]) -> np.ndarray:
    """Lays a kernel out as one row per filter.

    Args:
        kernel: Array of any rank, float.
        filter_axes: Axes that number the filters, such as `(-1,)`.

    Returns:
        Array of shape (filters, weights of one filter), a view if possible.
    """
    kernel = np.asarray(kernel)
    front = tuple(range(len(filter_axes)))
    moved = np.moveaxis(kernel, tuple(filter_axes), front)
    filters = int(np.prod(moved.shape[: len(filter_axes)]))
    return moved.reshape(filters, -1)


def leaf_layers(
    model: keras.layers.Layer, prefix: str = ""
) -> Iterator[tuple[str, keras.layers.Layer]]:
    """Walks the layers that own weights themselves, each one once.

    Nested models and layers made of layers are entered. The order is the
    order of `model.layers`, and of creation inside a custom layer.

    Args:
        model: Any Keras model or layer.
        prefix: Path put before each name.

    Yields:
        Pairs (path, layer); no path comes twice. A path can be printed.
    """
    seen: set[int] = set()
    taken: set[str] = set()

    def walk(layer, path):
        for child in sublayers(layer):
            if id(child) in seen:
                continue
            seen.add(id(child))
            name = printable(child.name)
            child_path, copy = f"{path}{name}", 1
            # Custom layers may give one name to several of their sublayers.
            while child_path in taken:
                copy += 1
                child_path = f"{path}{name}#{copy}"
            taken.add(child_path)
            if sublayers(child):
                yield from walk(child, f"{child_path}/")
            if not sublayers(child) or own_variables(child):
                yield child_path, child

    yield from walk(model, prefix)
    if own_variables(model):
        yield prefix + printable(model.name), model


def conv_kernels(
    model: keras.layers.Layer, read_only: bool = False
) -> tuple[list[ConvKernel], list[tuple[str, str]]]:
    """Finds the convolution kernels that can be grafted, or only read.

    A kernel can be grafted when training changes it: frozen layers, layers
    that the model never calls, LoRA and quantised layers do not take part.

    Args:
        model: Any built Keras model.
        read_only: Whether kernels are to be read only: then frozen ones
            count, and those adapted by LoRA as the layer applies them.

    Returns:
        `(kernels, skipped)`: the kernels in layer order, and for each one
        left out a pair (path, reason).
    """
    kernels, skipped = [], []
    trained = {id(variable) for variable in model.trainable_variables}
    for path, layer in leaf_layers(model):
        for attribute, filter_axes in _kernel_attributes(layer):
            name = path
            if attribute != "kernel":
                name = f"{path}/{attribute}"
            reason = _unreadable(layer)
            if not reason and not read_only:
                reason = _not_trained(layer, attribute, trained)
            if reason:
                skipped.append((name, reason))
            else:
                kernel = ConvKernel(layer, attribute, filter_axes, name)
                kernels.append(kernel)
    return kernels, skipped


def is_convolution(layer: keras.layers.Layer) -> bool:
    """Whether a layer has a convolution kernel, grafted or not."""
    return bool(_kernel_attributes(layer))


def structure_differences(networks: Sequence[keras.Model]) -> list[str]:
    """Compares the weights of networks, layer by layer.

    Args:
        networks: Built models.

    Returns:
        One line for each place where a network differs from the first,
        saying what each side has. Empty if all have the same structure.
    """
    lines = []
    first = _signature(networks[0])
    for k, network in enumerate(networks[1:], start=1):
        other = _signature(network)
        for i in range(max(len(first), len(other))):
            left = first[i] if i < len(first) else None
            right = other[i] if i < len(other) else None
            if left is None or right is None or left[1:] != right[1:]:
                lines.append(
                    f"layer {i}: network_0 has {_describe(left)}, "
                    f"network_{k} has {_describe(right)}"
                )
    return lines


def own_variables(layer: keras.layers.Layer) -> list[keras.Variable]:
    """Weights that belong to a layer and to none of its sublayers."""
    inside = {
        id(variable) for child in sublayers(layer) for variable in child.weights
    }
    return [v for v in layer.weights if id(v) not in inside]


def _signature(network):
    return [
        (
            path,
            type(layer).__name__,
            tuple(tuple(v.shape) for v in own_variables(layer)),
            tuple(
                layer.trainable and v.trainable for v in own_variables(layer)
            ),
        )
        for path, layer in leaf_layers(network)
        if own_variables(layer)
    ]


def _describe(entry):
    if entry is None:
        return "no layer"
    path, kind, shapes, trainable = entry
    frozen = [
        shape for shape, free in zip(shapes, trainable, strict=True) if not free
    ]
    note = f", not trainable: {frozen}" if frozen else ""
    return f"{kind} '{path}' {list(shapes)}{note}"


def _kernel_attributes(layer):
    for classes, attributes in _KERNELS:
        if isinstance(layer, classes):
            return attributes
    return ()


def _unreadable(layer):
    if not layer.built:
        return "it is not built: nothing calls it"
    if getattr(layer, "quantization_mode", None):
        return "its kernel is quantised"
    return None


def _not_trained(layer, attribute, trained):
    if getattr(layer, "lora_enabled", False):
        return "its kernel is adapted by LoRA"
    if not layer.trainable:
        return "it is frozen"
    if id(getattr(layer, attribute)) not in trained:
        return "its kernel is frozen"
    return None
