"""Names of the networks, and `build`. No Keras before `build` is called."""

import difflib
import importlib
import math
import numbers
import typing
from collections.abc import Sequence

import numpy as np

if typing.TYPE_CHECKING:
    import keras

# PyTorch's default, which the leaky networks of the reference rely on.
_LEAKY_SLOPE = 0.01

_RESNET_DEPTHS = (8, 14, 20, 32, 44, 56, 110)
_IMAGENET_DEPTHS = (18, 34, 50)
# Depth and growth of those with bottlenecks.
_DENSENET_BC = ((100, 12), (250, 24), (190, 40))
_CARDINALITIES = (8, 16)

# name: module of this package, arguments of its function `logits`
_NETWORKS: dict[str, tuple[str, dict[str, typing.Any]]] = {
    **{f"resnet{n}": ("resnet", {"depth": n}) for n in _RESNET_DEPTHS},
    **{
        f"resnet{n}_leaky": (
            "resnet",
            {"depth": n, "negative_slope": _LEAKY_SLOPE},
        )
        for n in _RESNET_DEPTHS
    },
    **{
        f"resnet{n}": ("imagenet_resnet", {"depth": n})
        for n in _IMAGENET_DEPTHS
    },
    "densenet40_12": (
        "densenet",
        {"depth": 40, "growth": 12, "bottleneck": False},
    ),
    **{
        f"densenet{depth}_{growth}": (
            "densenet",
            {"depth": depth, "growth": growth, "bottleneck": True},
        )
        for depth, growth in _DENSENET_BC
    },
    **{
        f"resnext29_{n}x64": ("resnext", {"cardinality": n})
        for n in _CARDINALITIES
    },
    "mobilenetv2": ("mobilenetv2", {}),
    "vgg16": ("vgg", {}),
    "wrn28_10": ("wide_resnet", {}),
}

# Of CIFAR-10's training images; the reference uses them for CIFAR-100 too.
_CIFAR_MEAN = [255 * mean for mean in (0.4914, 0.4822, 0.4465)]
_CIFAR_STD = [255 * std for std in (0.2023, 0.1994, 0.2010)]


def names() -> tuple[str, ...]:
    """Returns the names that `build` knows."""
    return tuple(_NETWORKS)


def check_name(name: str) -> None:
    """Refuses a name that `build` does not know.

    Raises:
        ValueError: with the known names, and the nearest of them.
    """
    if name in _NETWORKS:
        return
    near = difflib.get_close_matches(str(name), _NETWORKS, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise ValueError(
        f"Unknown model {name!r}.{hint} Known models: {', '.join(_NETWORKS)}."
    )


def build(
    name: str,
    num_classes: int,
    input_shape: Sequence[int] = (32, 32, 3),
    width: float = 1.0,
    seed: int = 0,
    pixel_mean: Sequence[float] | None = None,
    pixel_std: Sequence[float] | None = None,
) -> "keras.Model":
    """Builds an untrained network.

    The same arguments give the same bits in every process. Networks with
    different seeds, and layers of one network, have different weights.

    Args:
        name: one of `names()`.
        num_classes: number of logits, at least 2.
        input_shape: (height, width, channels) of an image, each at least 1.
        width: factor on the number of filters of every layer, rounded, at
            least one filter; 1 is the published network. The stem of
            `wrn28_10` keeps its 16 filters.
        seed: any integer.
        pixel_mean: mean of each channel over the training images, in pixel
            units (0 to 255). Default: CIFAR's for three channels, otherwise
            127.5.
        pixel_std: standard deviation likewise, above 0.

    Returns:
        A functional model called `name`, from images of shape
        [batch, *input_shape], any dtype, values 0 to 255, to float32 logits
        of shape [batch, num_classes].

    Raises:
        ValueError: for an argument outside of these ranges.
    """
    check_name(name)
    _check_arguments(num_classes, input_shape, width, seed)
    mean, std = _pixel_statistics(input_shape[-1], pixel_mean, pixel_std)

    import keras

    family, arguments = _NETWORKS[name]
    logits = importlib.import_module(f"keras_graft.models.{family}").logits
    pixels = keras.Input(tuple(input_shape), name="pixels")
    # In float32 under any precision policy: pixels lose bits in bfloat16.
    images = keras.layers.Normalization(
        mean=mean,
        variance=[value**2 for value in std],
        dtype="float32",
        name="normalization",
    )(pixels)
    outputs = logits(images, num_classes, width, seed, **arguments)
    return keras.Model(pixels, outputs, name=name)


def _check_arguments(
    num_classes: int, input_shape: Sequence[int], width: float, seed: int
) -> None:
    if not _is_integer(num_classes) or num_classes < 2:
        raise ValueError(
            "num_classes must be an integer of at least 2, the number of "
            f"labels of the dataset. Received: {num_classes!r}."
        )
    if (
        not isinstance(input_shape, Sequence)
        or len(input_shape) != 3
        or not all(_is_integer(size) and size > 0 for size in input_shape)
    ):
        raise ValueError(
            "input_shape must be three positive integers, (height, width, "
            "channels) of one image, without the batch. "
            f"Received: {input_shape!r}."
        )
    if (
        not isinstance(width, numbers.Real)
        or isinstance(width, bool)
        or not math.isfinite(width)
        or width <= 0
    ):
        raise ValueError(
            "width must be a finite number above 0, such as 0.5 for half of "
            f"the filters. Received: {width!r}."
        )
    if not _is_integer(seed):
        raise ValueError(f"seed must be an integer. Received: {seed!r}.")


def _is_integer(value: object) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _pixel_statistics(
    channels: int,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
) -> tuple[list[float], list[float]]:
    """Returns mean and standard deviation of each channel, 0 to 255."""
    if mean is None:
        mean = _CIFAR_MEAN if channels == 3 else [127.5] * channels
    if std is None:
        std = _CIFAR_STD if channels == 3 else [127.5] * channels
    means = np.array(mean, dtype="float64")
    stds = np.array(std, dtype="float64")
    if (
        not means.shape == stds.shape == (channels,)
        or not np.isfinite([means, stds]).all()
        or stds.min() <= 0
    ):
        raise ValueError(
            "pixel_mean and pixel_std must hold one finite number for each of "
            f"the {channels} channels, in pixel units (0 to 255), and "
            f"pixel_std must be above 0. Received: {mean!r} and {std!r}."
        )
    return means.tolist(), stds.tolist()
