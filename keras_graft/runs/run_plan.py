"""What a run would cost: counted, not measured."""

from typing import Any

import keras

from keras_graft.checkpoint.training_state import training_variables
from keras_graft.runs import costs
from keras_graft.structure.conv_layers import conv_kernels
from keras_graft.structure.flops import inference_flops
from keras_graft.structure.flops import training_flops
from keras_graft.trainer import GraftTrainer

# NumPy's header of an array, and what a zip file holds beside the bytes and,
# twice, the name `NAME.npy` of an entry.
_ENTRY_BYTES = 128 + 30 + 20 + 46
_SUFFIX = len(".npy")


def plan(
    settings: Any,
    trainer: GraftTrainer,
    steps: int,
    evaluated: int,
    replicas: int = 1,
    hosts: int = 1,
) -> str:
    """Sizes a run before it is paid for.

    Args:
        settings: The run's flags.
        trainer: Its trainer, built.
        steps: Steps in an epoch.
        evaluated: Images that are looked at after each epoch, by every
            network.
        replicas: Devices of a host that share a step.
        hosts: Hosts that share a step.

    Returns:
        Text of a few lines. Operations are those of convolutions and dense
        layers, a multiply-add as two; training is three forward passes.
    """
    network = trainer.networks[0]
    num_networks = settings.num_networks
    size = costs.size_of(network)
    devices = replicas * hosts
    images = -(-settings.batch_size // devices)
    trained = settings.epochs * steps * settings.batch_size
    training = training_flops(
        size.flops, trained, num_networks, _teachers_flops(trainer)
    )
    validation = settings.epochs * evaluated * num_networks * size.flops
    half = settings.precision != "float32"
    memory = costs.step_memory_bytes(
        size, num_networks, images, activation_bytes=2 if half else 4
    )
    sent = costs.data_parallel_step_bytes(size, num_networks, devices)
    kernels, _ = conv_kernels(network)
    rows = [
        ("parameters of a network", f"{network.count_params():,}"),
        ("filters of a network", f"{sum(k.num_filters for k in kernels):,}"),
        ("inference, one image", f"{size.flops / 1e6:,.1f} MFLOP"),
        ("training", _tera(training)),
        ("validation", _tera(validation)),
        ("devices", f"{hosts} x {replicas}"),
        ("images of a device in a step", f"{images:,}"),
        ("training of a device", _tera(training / devices)),
        ("weights and slots of a device", _mib(_state_bytes(trainer))),
        ("memory of a device, about", _mib(memory)),
        ("sent by a device in a step", _mib(sent)),
        ("sent by a device in an epoch", _mib(steps * sent)),
        ("read and written by a graft", _mib(_graft_bytes(settings, size))),
        ("checkpoints on disk, two kept", _mib(2 * checkpoint_bytes(trainer))),
    ]
    lines = [f"  {name:<30}{value:>18}" for name, value in rows]
    return "\n".join(["", *lines, "", "Nothing was trained or written."])


def checkpoint_bytes(trainer: GraftTrainer) -> int:
    """The size of a checkpoint's arrays on disk; its history is beside them.

    Args:
        trainer: Built, and its optimizers too.
    """
    return sum(
        _bytes(variable) + _ENTRY_BYTES + 2 * (len(name) + _SUFFIX)
        for name, variable in training_variables(trainer).items()
    )


def _state_bytes(trainer):
    weights = [v for network in trainer.networks for v in network.weights]
    return sum(map(_bytes, [*weights, *trainer.optimizer.variables]))


def _teachers_flops(trainer):
    return sum(
        inference_flops(teacher)
        for term in trainer.distillation
        for teacher in getattr(term, "teachers", [])
    )


def _graft_bytes(settings, size):
    if not settings.graft or settings.num_networks == 1:
        return 0
    return 2 * settings.num_networks * size.weight_bytes


def _bytes(variable):
    return keras.ops.convert_to_numpy(variable).nbytes


def _tera(operations):
    return f"{operations / 1e12:,.2f} TFLOP"


def _mib(count):
    return f"{count / 2**20:,.1f} MiB"
