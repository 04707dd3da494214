"""What a trainer is given: its arguments checked and resolved."""

import logging
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_graft.acceleration.switch import combined
from keras_graft.checks.numbers import is_whole
from keras_graft.distillation import DistillationTerm
from keras_graft.distillation import MutualDistillation
from keras_graft.structure.conv_layers import leaf_layers
from keras_graft.structure.printable import printable
from keras_graft.trainer.labels import check_from_logits

_LOG = logging.getLogger(__name__)


def check_networks(networks: Sequence[keras.Model]) -> None:
    """Refuses networks that are no Keras models or share a layer or weight.

    Args:
        networks: What `GraftTrainer` was given.

    Raises:
        ValueError: If there is none, or one that cannot take part.
    """
    if not isinstance(networks, list | tuple):
        raise ValueError(
            "`networks` must be a list of Keras models; "
            "keras_graft.replicate(model, n) makes one of a single model. "
            f"Received: {networks!r}"
        )
    if not networks:
        raise ValueError("`networks` is empty: give at least one Keras model.")
    owner = {}
    for k, network in enumerate(networks):
        if not isinstance(network, keras.Model):
            raise ValueError(
                "`networks` must be Keras models. Received at position "
                f"{k}: {network!r}"
            )
        _refuse_own_step(k, network)
        for path, layer in leaf_layers(network):
            first = owner.setdefault(id(layer), k)
            if first != k and not _is_frozen(layer):
                raise ValueError(
                    f"network_{first} and network_{k} share the layer "
                    f"'{path}'. Networks must share nothing: build each one "
                    "anew, or copy one with keras.models.clone_model."
                )
        for variable in network.variables:
            first = owner.setdefault(id(variable), k)
            if first != k and variable.trainable:
                raise ValueError(
                    f"network_{first} and network_{k} share the variable "
                    f"'{printable(variable.path)}'. Networks must share "
                    "nothing: build each one anew, or copy one with "
                    "keras.models.clone_model."
                )


def _is_frozen(layer):
    """Whether training changes nothing in a layer, so that it can be shared."""
    return not layer.trainable


def _refuse_own_step(k, network):
    for method in ("train_step", "test_step"):
        if getattr(type(network), method) is not getattr(keras.Model, method):
            raise ValueError(
                f"network_{k} is a {type(network).__name__}, which has a "
                f"{method} of its own. The trainer takes one step for all "
                "networks, and would not call it. Put what it does into the "
                "loss, into compute_loss or into layers, or give the model "
                "inside of it."
            )
    if getattr(network, "preprocessor", None) is not None:
        raise ValueError(
            f"network_{k} is a {type(network).__name__} with a preprocessor, "
            "which its own fit calls and the trainer does not. Set "
            "`network.preprocessor = None` and map the preprocessor over the "
            "data, in training and where the shipped network is used."
        )


def check_loss(loss: Any, networks: Sequence[keras.Model]) -> None:
    """Refuses no loss, and one that takes the networks' outputs for others.

    Args:
        loss: What `compile(loss=...)` was given.
        networks: N models.

    Raises:
        ValueError: If it is missing, or contradicts a last activation.
    """
    if loss is None:
        raise ValueError(
            "`loss` is missing: give a Keras loss, such as "
            "keras.losses.SparseCategoricalCrossentropy(from_logits=True)."
        )
    for k, network in enumerate(networks):
        check_from_logits(network, loss, f"network_{k}")


def check_compiled_before(method: str, compiled: bool) -> None:
    """Refuses to train or evaluate what has no loss yet.

    Args:
        method: What was called, for the error.
        compiled: Whether `compile` was.

    Raises:
        ValueError: If not.
    """
    if not compiled:
        raise ValueError(
            f"Call `compile()` before `{method}()`: the trainer needs a "
            "loss and an optimizer."
        )


def check_labelled(x: Any, y: Any) -> None:
    """Refuses inputs without labels.

    Args:
        x: Inputs of one example, or None where they are not known yet.
        y: Its labels, or None.

    Raises:
        ValueError: If there are inputs and no labels.
    """
    if x is not None and y is None:
        raise ValueError(
            "The networks learn from labels, and none came with the "
            "inputs. Give `y`, or batches of `(x, y)`. Received: y=None"
        )


def renamed(config: dict[str, Any]) -> dict[str, Any]:
    """A trainer's config with today's names of arguments.

    Args:
        config: What `get_config` returned, perhaps of a trainer that was
            saved when `accelerate` was two arguments.
    """
    before = {"fused_batch_norm", "recompute"} & config.keys()
    named = {name: config.pop(name) for name in before}
    if named:
        config["accelerate"] = combined(**named)
    return config


def check_synchronized(networks: Sequence[keras.Model], replicas: int) -> None:
    """Refuses BatchNormalization that each replica would do by itself.

    The statistics would be those of a share of the batch, and the moving ones
    would drift apart, of which one replica's are saved.

    Args:
        networks: Built Keras models.
        replicas: Number of replicas in sync.

    Raises:
        ValueError: Naming the layers.
    """
    if replicas == 1:
        return
    found = [
        f"network_{k}: {path}"
        for k, network in enumerate(networks)
        for path, layer in leaf_layers(network)
        if isinstance(layer, keras.layers.BatchNormalization)
        and layer.trainable
        and not layer.synchronized
    ]
    if found:
        raise ValueError(
            f"On {replicas} replicas BatchNormalization must look at the "
            "whole batch. Build these layers with synchronized=True: "
            f"{', '.join(found[:6])}"
            f"{f' and {len(found) - 6} more' if len(found) > 6 else ''}."
        )


def check_whole(name: str, value: Any, least: int) -> None:
    """Refuses what counts nothing.

    Args:
        name: Of the argument, for the error.
        value: What it was given.
        least: The least that it may be.

    Raises:
        ValueError: If it is no whole number, or less.
    """
    if not is_whole(value, least):
        raise ValueError(
            f"`{name}` must be a whole number of at least {least}. "
            f"Received: {value!r}"
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


def active_terms(
    terms: Sequence[DistillationTerm], num_networks: int
) -> list[DistillationTerm]:
    """The terms in the graph: 0 times NaN is NaN, so weight 0 is out.

    Args:
        terms: The trainer's terms.
        num_networks: N.
    """
    return [
        term
        for term in terms
        if term.weight
        and term.ready
        and (num_networks > 1 or not term.needs_peers)
    ]


def check_terms_ready(terms: Sequence[DistillationTerm], method: str) -> None:
    """Refuses to train with terms that lack teachers or are not finite.

    Args:
        terms: The trainer's terms.
        method: What was called, for the error.

    Raises:
        ValueError: Naming the teachers that a loaded trainer needs back, or
            what is not finite.
    """
    for i, term in enumerate(terms):
        if not term.ready:
            raise ValueError(
                "Teachers are not saved with a trainer, so this one has "
                f"to be given them back before `{method}`: set "
                f"`trainer.distillation[{i}].teachers` to the models "
                f"{term.missing_teachers}."
            )
        # It looks at all weights: not before every batch.
        if method == "fit" and term.weight:
            term.check()


def check_outputs(outputs: Sequence[Any]) -> None:
    """Refuses networks whose outputs differ or are ragged.

    Args:
        outputs: The networks' outputs, symbolic or not.

    Raises:
        ValueError: Naming the shapes.
    """
    if any(isinstance(o, tf.RaggedTensor) for o in keras.tree.flatten(outputs)):
        raise ValueError(
            "The networks give a RaggedTensor, which has no mean over "
            "networks. Let them end in a dense tensor: `x.to_tensor()`, with "
            "a mask where the padding is not to count."
        )
    shapes = [
        keras.tree.map_structure(lambda o: tuple(o.shape[1:]), output)
        for output in outputs
    ]
    for k, shape in enumerate(shapes):
        if shape != shapes[0]:
            raise ValueError(
                "All networks must have the same outputs. network_0 has "
                f"outputs of shape {shapes[0]}, network_{k} of {shape}."
            )
