"""What a trainer is given: its arguments checked and resolved."""

import logging
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_graft.conv_layers import leaf_layers
from keras_graft.distillation import DistillationTerm
from keras_graft.distillation import MutualDistillation
from keras_graft.predictions import final_activation
from keras_graft.predictions import label_kind
from keras_graft.predictions import uses_logits

_LOG = logging.getLogger(__name__)


def check_networks(networks: Sequence[keras.Model]) -> None:
    """Refuses networks that are no Keras models or share a layer or weight.

    Args:
        networks: What `GraftTrainer` was given, as a list.

    Raises:
        ValueError: If there is none, or one that cannot take part.
    """
    if not networks:
        raise ValueError("`networks` is empty: give at least one Keras model.")
    owner = {}
    for k, network in enumerate(networks):
        if not isinstance(network, keras.Model):
            raise ValueError(
                "`networks` must be Keras models. Received at position "
                f"{k}: {network!r}"
            )
        for path, layer in leaf_layers(network):
            first = owner.setdefault(id(layer), k)
            if first != k:
                raise ValueError(
                    f"network_{first} and network_{k} share the layer "
                    f"'{path}'. Networks must share nothing: build each one "
                    "anew, or copy one with keras.models.clone_model."
                )
        for variable in network.variables:
            first = owner.setdefault(id(variable), k)
            if first != k:
                raise ValueError(
                    f"network_{first} and network_{k} share the variable "
                    f"'{variable.path}'. Networks must share nothing: build "
                    "each one anew, or copy one with "
                    "keras.models.clone_model."
                )


def distillation_terms(
    distillation: Any, num_networks: int
) -> list[DistillationTerm]:
    """Resolves `GraftTrainer(distillation=...)` into a list of terms.

    Args:
        distillation: None, `"mutual"`, a term or a list of terms.
        num_networks: N.

    Raises:
        ValueError: If it is anything else.
    """
    if distillation is None:
        return []
    if distillation == "mutual":
        distillation = [MutualDistillation()]
    if isinstance(distillation, DistillationTerm):
        distillation = [distillation]
    if not isinstance(distillation, list | tuple) or not all(
        isinstance(term, DistillationTerm) for term in distillation
    ):
        raise ValueError(
            '`distillation` must be None, "mutual", a distillation term or '
            f"a list of terms. Received: {distillation!r}"
        )
    if num_networks == 1 and any(term.needs_peers for term in distillation):
        _LOG.warning(
            "One network has no peers: mutual distillation does nothing."
        )
    return list(distillation)


def check_terms_ready(terms: Sequence[DistillationTerm], method: str) -> None:
    """Refuses to train with terms whose teachers are missing.

    Args:
        terms: The trainer's terms.
        method: What was called, for the error.

    Raises:
        ValueError: Naming the teachers that a loaded trainer needs back.
    """
    for i, term in enumerate(terms):
        if not term.ready:
            raise ValueError(
                "Teachers are not saved with a trainer, so this one has "
                f"to be given them back before `{method}`: set "
                f"`trainer.distillation[{i}].teachers` to the models "
                f"{term.missing_teachers}."
            )


def takes_logits(loss: Any, network: keras.Model, distils: bool) -> bool:
    """Whether networks give logits, by the loss where it tells.

    Args:
        loss: What `compile(loss=...)` was given.
        network: One of the networks.
        distils: Whether the trainer has distillation terms.
    """
    if uses_logits(loss) or label_kind(loss) is not None:
        return uses_logits(loss)
    # Distillation is for classes only, so that linear means logits; else the
    # networks may predict anything.
    return distils and final_activation(network) == "linear"


def check_outputs(
    outputs: Sequence[tf.Tensor], terms: Sequence[DistillationTerm]
) -> None:
    """Refuses networks whose outputs differ or cannot be distilled.

    Args:
        outputs: The networks' symbolic outputs.
        terms: The trainer's terms.

    Raises:
        ValueError: Naming the shapes.
    """
    shapes = [tuple(output.shape[1:]) for output in outputs]
    for k, shape in enumerate(shapes):
        if shape != shapes[0]:
            raise ValueError(
                "All networks must have the same outputs. network_0 has "
                f"outputs of shape {shapes[0]}, network_{k} of {shape}."
            )
    if terms and (len(shapes[0]) != 1 or shapes[0][0] < 2):
        raise ValueError(
            "Distillation needs one output for each of two or more "
            f"classes. The networks have outputs of shape {shapes[0]}; "
            "use distillation=None."
        )
