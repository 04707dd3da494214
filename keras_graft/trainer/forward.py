"""What the networks make of a batch."""

import dataclasses
import inspect
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_graft.acceleration.shared_function import through_one_function
from keras_graft.distillation import DistillationTerm
from keras_graft.distillation import FeatureTaps
from keras_graft.structure.graph import mask_of
from keras_graft.structure.graph import with_mask
from keras_graft.trainer.views import views_of


@dataclasses.dataclass(frozen=True)
class Predictions:
    """What N networks made of a batch, an entry for each of them.

    Attributes:
        outputs: Tensors of shape (batch, ...), or one and the same structure
            of them each; with masks, where Keras' layers made some.
        features: The outputs of the tapped layers by name, or None.
        losses: Lists of the networks' own losses (regularisers), scalars.
        shared: Whether one function computed all of it.
    """

    outputs: list
    features: list[dict[str, tf.Tensor]] | None
    losses: list[list[tf.Tensor]]
    shared: bool

    def first(self, size: tf.Tensor) -> "Predictions":
        """The same with the outputs of `size` examples."""

        def cut(output):
            mask = mask_of(output)
            return with_mask(
                output[:size], None if mask is None else mask[:size]
            )

        outputs = [keras.tree.map_structure(cut, o) for o in self.outputs]
        return dataclasses.replace(self, outputs=outputs)


def forward(network: keras.layers.Layer, x: Any, training: bool) -> tf.Tensor:
    """Calls a network, with `training` where it takes that argument."""
    parameters = inspect.signature(network.call).parameters
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    if "training" in parameters or takes_any:
        return network(x, training=training)
    return network(x)


def example_outputs(networks: Sequence[keras.Model], x: Any) -> list:
    """What networks give for a batch like `x`; builds those that are not.

    Args:
        networks: N models.
        x: A batch of one example, or a view of it for each network.

    Returns:
        For each network its outputs: symbolic ones, but where inputs are
        sparse, ragged or left out, which Keras' symbolic calls do not know.
    """
    return [
        forward(network, _symbolic(view, network), False)
        for network, view in zip(
            networks, views_of(x, len(networks)), strict=True
        )
    ]


def _symbolic(view, network):
    flat = keras.tree.flatten(view)
    if not all(isinstance(t, tf.Tensor) for t in flat):
        return view
    taken = getattr(network, "inputs", None) or []
    alone = len(flat) == len(taken) == 1

    def symbol(tensor):
        shape = tuple(tensor.shape[1:])
        if alone:
            shape = _fitted(shape, tuple(taken[0].shape[1:]))
        return keras.KerasTensor((None, *shape), tensor.dtype.name)

    return keras.tree.map_structure(symbol, view)


def _fitted(shape, taken):
    """With or without a last axis of 1, as Keras fits data to a network."""
    if len(shape) + 1 == len(taken) and taken[-1] == 1:
        return (*shape, 1)
    if len(shape) == len(taken) + 1 and shape[-1] == 1:
        return shape[:-1]
    return shape


def feature_taps(
    networks: Sequence[keras.Model],
    terms: Sequence[DistillationTerm],
    outputs: Any,
) -> FeatureTaps | None:
    """The taps that the terms need, or None if they look at no inner layer.

    Args:
        networks: N built models.
        terms: The distillation terms that are in the graph.
        outputs: What a network gives, symbolic.

    Raises:
        ValueError: If a network lacks a layer that a term looks at.
    """
    names = [name for term in terms for name in term.feature_layers]
    return FeatureTaps(networks, names, outputs) if names else None


def forward_all(
    networks: Sequence[keras.Model],
    views: Sequence[Any],
    training: bool,
    taps: FeatureTaps | None = None,
    share: bool = True,
    recompute: bool = True,
) -> Predictions:
    """Calls each network once, on its view.

    Args:
        networks: N built models.
        views: N inputs.
        training: Whether the networks train.
        taps: What `feature_taps` returned.
        share: Whether networks that compute the same share a function, where
            TensorFlow traces without a strategy. The outputs are the same,
            and the gradients but for the order in which three or more are
            added up, and for `convolution_gradients`.
        recompute: Whether such a function has its `recomputation`, too.
    """

    def calls(k):
        def call(x):
            outputs, features = (
                (forward(networks[k], x, training), {})
                if taps is None
                else taps(k, x, training)
            )
            masks = [mask_of(tensor) for tensor in keras.tree.flatten(outputs)]
            return outputs, features, masks

        return call

    each = [calls(k) for k in range(len(networks))]
    found = None
    if share:
        found = through_one_function(
            networks, each, views, recompute, taps is None
        )
    shared = found is not None
    if not shared:
        found = [
            (*call(x), network.losses)
            for network, call, x in zip(networks, each, views, strict=True)
        ]
    outputs, features, masks, losses = (
        list(part) for part in zip(*found, strict=True)
    )
    for of_network, of_masks in zip(outputs, masks, strict=True):
        flat = keras.tree.flatten(of_network)
        for tensor, mask in zip(flat, of_masks, strict=True):
            with_mask(tensor, mask)  # A function does not hand it on.
    return Predictions(outputs, features if taps else None, losses, shared)
