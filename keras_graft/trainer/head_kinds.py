"""Which kind each head of the networks is: known, or asked for."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_graft.structure.heads import BINARY_LOGITS
from keras_graft.structure.heads import BINARY_PROBABILITIES
from keras_graft.structure.heads import CLASS_LOGITS
from keras_graft.structure.heads import CLASS_PROBABILITIES
from keras_graft.structure.heads import EMBEDDING
from keras_graft.structure.heads import KINDS
from keras_graft.structure.heads import LABEL_LOGITS
from keras_graft.structure.heads import LABEL_PROBABILITIES
from keras_graft.structure.heads import REGRESSION
from keras_graft.structure.heads import Head
from keras_graft.structure.heads import check_kind
from keras_graft.structure.outputs import final_activations
from keras_graft.structure.outputs import head_names
from keras_graft.trainer.labels import label_kind
from keras_graft.trainer.labels import loss_name
from keras_graft.trainer.labels import uses_logits

# What a loss of Keras that is no crossentropy is computed on.
_BY_LOSS = {
    "mean_squared_error": REGRESSION,
    "mean_absolute_error": REGRESSION,
    "mean_absolute_percentage_error": REGRESSION,
    "mean_squared_logarithmic_error": REGRESSION,
    "log_cosh": REGRESSION,
    "huber": REGRESSION,
    "poisson": REGRESSION,
    "hinge": REGRESSION,
    "squared_hinge": REGRESSION,
    "categorical_hinge": REGRESSION,
    "kl_divergence": CLASS_PROBABILITIES,
    "categorical_generalized_cross_entropy": CLASS_PROBABILITIES,
    "ctc": CLASS_LOGITS,
    "cosine_similarity": EMBEDDING,
    "circle": EMBEDDING,
}


def heads_of(
    network: keras.Model,
    outputs: Any,
    loss: Any,
    given: Any,
    needed: bool,
) -> tuple[Head, ...]:
    """Names the kind of each head, from what the user says or what is known.

    Args:
        network: One of the networks.
        outputs: What it gives for a batch, symbolic or not.
        loss: What `compile(loss=...)` was given; None before.
        given: What `GraftTrainer(heads=...)` was given: None, a kind for
            every head, or a dict of kinds by name.
        needed: Whether a kind makes a difference: an ensemble of one network
            that learns from nobody gives what the network gives.

    Returns:
        A head for each tensor of `outputs`, in `keras.tree` order.

    Raises:
        ValueError: If a kind is not known and needed, contradicts the loss,
            or is given for a head that is not there.
    """
    names = head_names(network, outputs)
    kinds = _given_kinds(given, names)
    losses = losses_of_heads(loss, outputs, names)
    activations = final_activations(network) or [None] * len(names)
    flat = keras.tree.flatten(outputs)
    return tuple(
        Head(
            name,
            _kind(name, own, of_head, activation, tensor, loss, needed),
        )
        for name, own, of_head, activation, tensor in zip(
            names, kinds, losses, activations, flat, strict=True
        )
    )


def losses_of_heads(loss: Any, outputs: Any, names: Sequence[str]) -> list:
    """The loss of each head, None where it has none.

    Args:
        loss: As for `keras.Model.compile`: one for all heads, or by name, by
            position, or in the structure of the outputs.
        outputs: A structure of tensors.
        names: The heads' names.
    """
    if len(names) == 1:
        flat = list(keras.tree.flatten(loss)) if _is_nested(loss) else [loss]
        return flat[:1] or [None]
    if not _is_nested(loss):
        return [loss] * len(names)
    if isinstance(loss, dict) and set(loss) <= set(names):
        return [loss.get(name) for name in names]
    flat = keras.tree.flatten(loss)
    if len(flat) == len(names):
        return list(flat)
    # Keras says what is wrong with it.
    return [None] * len(names)


def _is_nested(loss):
    return isinstance(loss, dict | list | tuple)


def _given_kinds(given, names):
    if given is None:
        return [None] * len(names)
    if not isinstance(given, dict):
        check_kind(given, names[0])
        return [given] * len(names)
    unknown = sorted(set(given) - set(names))
    if unknown:
        raise ValueError(
            f"`heads` names outputs that the networks do not have: {unknown}. "
            f"Their outputs: {list(names)}."
        )
    for name, kind in given.items():
        check_kind(kind, name)
    return [given.get(name) for name in names]


def _kind(name, given, loss, activation, tensor, compiled, needed):
    if given is not None:
        _refuse_contradiction(name, given, loss)
        return given
    known = _known_kind(loss, activation, tensor, compiled)
    if known is not None:
        return known
    if needed:
        raise ValueError(
            f"What the networks' output '{name}' means is not known: neither "
            f"the loss ({_describe(loss)}) nor the last layer "
            f"({activation or 'not seen'}) tells. Say it: GraftTrainer(..., "
            f"heads={{{name!r}: KIND}}), where KIND is one of "
            f"{', '.join(map(repr, KINDS))}."
        )
    return REGRESSION


def _known_kind(loss, activation, tensor, compiled):
    of_loss = _kind_of_loss(loss, tensor.shape[-1])
    if of_loss == REGRESSION and activation == "softmax":
        return CLASS_PROBABILITIES
    if of_loss is not None:
        return of_loss
    if activation == "softmax":
        return CLASS_PROBABILITIES
    if activation == "sigmoid":
        one = tensor.shape[-1] == 1
        return BINARY_PROBABILITIES if one else LABEL_PROBABILITIES
    if loss is None and compiled is not None:
        return EMBEDDING  # A head that nothing is asked of.
    if loss is None and activation == "linear":
        return CLASS_LOGITS  # Not compiled yet: as `models.build` has it.
    return None


def _kind_of_loss(loss, units):
    said = getattr(loss, "head_kind", None)
    if said is not None:
        return said
    kind = label_kind(loss) if loss is not None else None
    if kind is None:
        return _BY_LOSS.get(loss_name(loss)) if loss is not None else None
    if kind == "binary":
        kinds = (
            (BINARY_LOGITS, BINARY_PROBABILITIES)
            if units == 1
            else (LABEL_LOGITS, LABEL_PROBABILITIES)
        )
    else:
        kinds = (CLASS_LOGITS, CLASS_PROBABILITIES)
    return kinds[not uses_logits(loss)]


def _refuse_contradiction(name, given, loss):
    kind = label_kind(loss) if loss is not None else None
    if kind is None:
        return
    classes = given in (CLASS_LOGITS, CLASS_PROBABILITIES)
    logits = given.endswith("_logits")
    if classes != (kind != "binary") or logits != uses_logits(loss):
        raise ValueError(
            f"heads={{{name!r}: {given!r}}} contradicts the loss, "
            f"{_describe(loss)} with from_logits={uses_logits(loss)}."
        )


def _describe(loss):
    return loss_name(loss) if loss is not None else "none"
