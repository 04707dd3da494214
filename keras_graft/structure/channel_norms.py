"""Which BatchNormalization scales the channels that a layer makes or reads."""

import dataclasses

import keras

from keras_graft.structure.connections import connections
from keras_graft.structure.connections import feeding_convolutions
from keras_graft.structure.conv_layers import is_convolution
from keras_graft.structure.conv_layers import leaf_layers

# They leave channel j channel j. Of layers with `data_format`, only those
# whose format is the convolution's.
_KEEP_CHANNELS = (
    keras.layers.Activation,
    keras.layers.ELU,
    keras.layers.LeakyReLU,
    keras.layers.PReLU,
    keras.layers.ReLU,
    keras.layers.Identity,
    keras.layers.InputLayer,
    keras.layers.Dropout,
    keras.layers.GaussianDropout,
    keras.layers.GaussianNoise,
    keras.layers.SpatialDropout1D,
    keras.layers.SpatialDropout2D,
    keras.layers.SpatialDropout3D,
    keras.layers.AveragePooling1D,
    keras.layers.AveragePooling2D,
    keras.layers.AveragePooling3D,
    keras.layers.MaxPooling1D,
    keras.layers.MaxPooling2D,
    keras.layers.MaxPooling3D,
    keras.layers.UpSampling1D,
    keras.layers.UpSampling2D,
    keras.layers.UpSampling3D,
    keras.layers.ZeroPadding1D,
    keras.layers.ZeroPadding2D,
    keras.layers.ZeroPadding3D,
)
# Channels become units; a Flatten repeats them for every position.
_TO_UNITS = (
    keras.layers.Flatten,
    keras.layers.GlobalAveragePooling1D,
    keras.layers.GlobalAveragePooling2D,
    keras.layers.GlobalAveragePooling3D,
    keras.layers.GlobalMaxPooling1D,
    keras.layers.GlobalMaxPooling2D,
    keras.layers.GlobalMaxPooling3D,
)


@dataclasses.dataclass(frozen=True)
class ChannelNorms:
    """The BatchNormalizations, with a gamma, on either side of a layer.

    Attributes:
        after: From the `id` of a convolution to the one that alone takes its
            output.
        before: From the `id` of a convolution or Dense to the one whose
            channels it reads.
        has_graph: False where the order of creation stood in for a graph.
    """

    after: dict[int, keras.layers.BatchNormalization]
    before: dict[int, keras.layers.BatchNormalization]
    has_graph: bool


def channel_norms(model: keras.Model) -> ChannelNorms:
    """Follows channels through activations, pooling, dropout and padding.

    A sum, a concatenation or any other layer ends the way: channel j of its
    output is not channel j of one convolution. So does a convolution whose
    output goes to several layers, since then gamma does not scale all of it.

    Where there is no graph, a convolution's BatchNormalization is the first
    one created after it and before the next convolution, and none is known
    to come before a layer.

    Args:
        model: A built Keras model.

    Returns:
        The `ChannelNorms`.
    """
    graph = _Channels(model)
    owners, has_graph = feeding_convolutions(model)
    after, before = {}, {}
    for _, layer in leaf_layers(model):
        if is_convolution(layer):
            after[id(layer)] = graph.norm_after(layer)
            before[id(layer)] = graph.norm_before(layer, layer.data_format)
        elif isinstance(layer, keras.layers.Dense):
            before[id(layer)] = graph.norm_before(layer, "channels_last")
        elif _has_gamma(layer) and id(layer) not in graph.inside:
            owner = owners[id(layer)]
            if owner is not None and id(owner) not in graph.inside:
                after[id(owner)] = after[id(owner)] or layer
    return ChannelNorms(
        {key: norm for key, norm in after.items() if norm is not None},
        {key: norm for key, norm in before.items() if norm is not None},
        has_graph,
    )


class _Channels:
    """The graph of a model, for questions about single channels."""

    def __init__(self, model):
        edges, outputs = connections(model)
        self._makers: dict[int, list] = {}
        self._takers: dict[int, list] = {id(maker): [None] for maker in outputs}
        self.inside = set()
        for maker, taker in edges:
            self._makers.setdefault(id(taker), []).append(maker)
            self._takers.setdefault(id(maker), []).append(taker)
            self.inside.update((id(maker), id(taker)))

    def norm_after(self, convolution):
        layer = convolution
        while True:
            takers = self._takers.get(id(layer), [])
            if len(takers) != 1:
                return None
            layer = takers[0]
            if isinstance(layer, keras.layers.BatchNormalization):
                return _if_scales(layer, convolution.data_format)
            if not _keeps_channels(layer, convolution.data_format):
                return None

    def norm_before(self, layer, data_format):
        # A shared layer is called several times: all calls must agree.
        found = [
            self._norm_at(maker, data_format)
            for maker in self._makers.get(id(layer), [])
        ]
        agree = found and all(norm is found[0] for norm in found)
        return found[0] if agree else None

    def _norm_at(self, layer, data_format):
        if isinstance(layer, keras.layers.BatchNormalization):
            return _if_scales(layer, data_format)
        if isinstance(layer, _TO_UNITS):
            if isinstance(layer, keras.layers.Flatten):
                units_format = data_format
            else:
                units_format = layer.data_format
            return self.norm_before(layer, units_format)
        if _keeps_channels(layer, data_format):
            return self.norm_before(layer, data_format)
        return None


def _keeps_channels(layer, data_format):
    if getattr(layer, "data_format", data_format) != data_format:
        return False
    mixes = getattr(layer, "activation", None) is keras.activations.softmax
    return isinstance(layer, _KEEP_CHANNELS) and not mixes


def _if_scales(norm, data_format):
    rank = norm.input_spec.ndim
    axis = rank - 1 if data_format == "channels_last" else 1
    return norm if _has_gamma(norm) and norm.axis % rank == axis else None


def _has_gamma(layer):
    is_norm = isinstance(layer, keras.layers.BatchNormalization)
    return is_norm and layer.gamma is not None
