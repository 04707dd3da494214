"""Every variable that a training run consists of, by a stable name.

Names are made of positions: `network_0/0003/kernel`, `trainer/masked`,
`optimizer_1/0002/momentum`. Keras numbers layers by process (`conv2d_5`), so
that their names differ from one start to the next; they are shown in messages
only.
"""

import re
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_graft.checkpoint.manifest import CheckpointError
from keras_graft.structure.conv_layers import leaf_layers

# A variable whose copies on the replicas differ has an entry for each of
# the others, such as `network_0/0003/mean@1`.
_REPLICA = "@"


def training_variables(trainer: Any) -> dict[str, keras.Variable]:
    """All variables of a trainer that a step reads and changes.

    Weights, BatchNormalization statistics and states of seed generators of
    every network, slots and counters of every optimizer, variables of losses,
    and what the trainer knows of the networks' health.

    Args:
        trainer: A `GraftTrainer`, built and compiled.

    Returns:
        Variables by name.
    """
    found = {}
    for k, network in enumerate(trainer.networks):
        found.update(_numbered(f"network_{k}", _state_of(network)))
    for k, optimizer in enumerate(trainer.optimizer.optimizers):
        found.update(_numbered(f"optimizer_{k}", optimizer.variables))
    for k, variables in enumerate(trainer.loss_variables):
        found.update(_numbered(f"loss_{k}", variables))
    for variable in trainer.health.variables:
        found[f"trainer/{variable.name}"] = variable
    return found


def read_arrays(trainer: Any) -> dict[str, np.ndarray]:
    """The values of `training_variables`, on every replica."""
    arrays = {}
    for name, variable in training_variables(trainer).items():
        copies = [_to_numpy(copy) for copy in _copies(trainer, variable)]
        arrays[name] = copies[0]
        for replica, copy in enumerate(copies[1:], 1):
            # As bytes, since NaN differs from itself.
            if copy.tobytes() != copies[0].tobytes():
                arrays[f"{name}{_REPLICA}{replica}"] = copy
    return arrays


def names_of_variances(trainer: Any) -> set[str]:
    """The names among `training_variables` of BatchNormalization's variances.

    Args:
        trainer: A `GraftTrainer`, built and compiled.
    """
    held = {
        id(layer.moving_variance)
        for network in trainer.networks
        for _, layer in leaf_layers(network)
        if isinstance(layer, keras.layers.BatchNormalization)
    }
    return {
        name
        for name, variable in training_variables(trainer).items()
        if id(variable) in held
    }


def assign_arrays(trainer: Any, arrays: dict[str, np.ndarray]) -> None:
    """Gives every variable its value again, or none.

    Args:
        trainer: A `GraftTrainer`, built and compiled.
        arrays: What `read_arrays` returned.

    Raises:
        CheckpointError: If names, types or shapes differ; each one is
            listed.
    """
    refuse_other_variables(trainer, arrays)
    for name, variable in training_variables(trainer).items():
        copies = _copies(trainer, variable)
        if len(copies) == 1:
            variable.assign(arrays[name])
            continue
        for replica, copy in enumerate(copies):
            value = arrays.get(f"{name}{_REPLICA}{replica}", arrays[name])
            copy.assign(tf.cast(value, copy.dtype))


def refuse_other_variables(trainer: Any, arrays: dict[str, np.ndarray]) -> None:
    """Refuses arrays that are not of a trainer's variables.

    Args:
        trainer: A `GraftTrainer`, built and compiled.
        arrays: What `read_arrays` returned.

    Raises:
        CheckpointError: If names, types or shapes differ; each one is
            listed.
    """
    differences = _differences(trainer, training_variables(trainer), arrays)
    if differences:
        raise CheckpointError(
            "The checkpoint is of another trainer:\n  "
            + "\n  ".join(differences)
            + "\nBuild the networks and optimizers as they were when it was "
            "written, or give another folder."
        )


def _differences(trainer, variables, arrays):
    lines = _wrong_types(variables, arrays)
    replicas = trainer.distribute_strategy.num_replicas_in_sync
    for name, variable in variables.items():
        shape = tuple(variable.shape)
        if name not in arrays:
            lines.append(f"missing: {name} {shape} ({variable.path})")
        elif arrays[name].shape != shape:
            lines.append(
                f"shape: {name} is {arrays[name].shape} in the checkpoint, "
                f"{shape} here ({variable.path})"
            )
    for name, array in arrays.items():
        base, _, replica = name.partition(_REPLICA)
        if base not in variables:
            lines.append(f"unexpected: {name} {array.shape}")
        elif replica and not _is_replica(replica, replicas):
            lines.append(
                f"unexpected: {name}, a value on replica {replica}; there "
                f"are {replicas} here"
            )
        elif array.shape != tuple(variables[base].shape) and replica:
            lines.append(f"shape: {name} is {array.shape} in the checkpoint")
    return lines


def _is_replica(text, replicas):
    return text.isascii() and text.isdecimal() and 0 < int(text) < replicas


def _wrong_types(variables, arrays):
    lines = []
    for name, array in arrays.items():
        variable = variables.get(name.partition(_REPLICA)[0])
        if variable is None:
            continue
        dtype = _saved_type(variable)
        if array.dtype != dtype:
            lines.append(
                f"type: {name} is {array.dtype} in the checkpoint, {dtype} "
                f"here ({variable.path})"
            )
    return lines


def _saved_type(variable):
    dtype = tf.as_dtype(keras.backend.standardize_dtype(variable.dtype))
    return _without_bfloat16(np.zeros((), dtype.as_numpy_dtype)).dtype


def _state_of(network):
    """Weights and seed generators, each once, without metrics."""
    left_out = {id(variable) for variable in network.metrics_variables}
    found = {}
    for variable in network.variables:
        if id(variable) not in left_out:
            found.setdefault(id(variable), variable)
    return list(found.values())


def _numbered(prefix: str, variables: Sequence) -> dict:
    return {
        f"{prefix}/{i:04d}/{_kind(variable)}": variable
        for i, variable in enumerate(variables)
    }


def _kind(variable):
    """`kernel`, `momentum`: the part of a name that no process numbers."""
    name = re.sub(r"_\d+$", "", variable.name)
    return name.rpartition("_")[2]


def _copies(trainer, variable):
    strategy = trainer.distribute_strategy
    return strategy.experimental_local_results(variable.value)


def _to_numpy(tensor):
    return _without_bfloat16(np.asarray(tensor.numpy()))


def _without_bfloat16(array):
    # NumPy's files know no bfloat16; float32 holds it exactly.
    return array.astype("float32") if array.dtype.kind == "V" else array
