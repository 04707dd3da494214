"""What a run would cost: counted, not measured."""

from typing import Any

import keras

from keras_graft.conv_layers import conv_kernels
from keras_graft.flops import inference_flops
from keras_graft.flops import training_flops
from keras_graft.trainer import GraftTrainer


def plan(
    settings: Any, trainer: GraftTrainer, steps: int, evaluated: int
) -> str:
    """Sizes a run before it is paid for.

    Args:
        settings: The run's flags.
        trainer: Its trainer, built.
        steps: Steps in an epoch.
        evaluated: Images that are looked at after each epoch, by every
            network.

    Returns:
        Text of a few lines. Operations are those of convolutions and dense
        layers, a multiply-add as two; training is three forward passes.
    """
    network = trainer.networks[0]
    forward = inference_flops(network)
    images = settings.epochs * steps * settings.batch_size
    teachers = _teachers_flops(trainer)
    training = training_flops(forward, images, settings.num_networks, teachers)
    validation = settings.epochs * evaluated * settings.num_networks * forward
    weights = sum(_bytes(v) for v in network.weights)
    slots = sum(_bytes(v) for v in trainer.optimizer.variables)
    total = settings.num_networks * weights + slots
    kernels, _ = conv_kernels(network)
    rows = [
        ("parameters of a network", f"{network.count_params():,}"),
        ("filters of a network", f"{sum(k.num_filters for k in kernels):,}"),
        ("inference, one image", f"{forward / 1e6:,.1f} MFLOP"),
        ("training", f"{training / 1e12:,.2f} TFLOP"),
        ("validation", f"{validation / 1e12:,.2f} TFLOP"),
        ("weights and slots in memory", _mib(total)),
        ("read and written by a graft", _mib(_graft_bytes(settings, weights))),
        ("checkpoints on disk, two kept", _mib(2 * total)),
    ]
    lines = [f"  {name:<30}{value:>18}" for name, value in rows]
    return "\n".join(["", *lines, "", "Nothing was trained or written."])


def _teachers_flops(trainer):
    return sum(
        inference_flops(teacher)
        for term in trainer.distillation
        for teacher in getattr(term, "teachers", [])
    )


def _graft_bytes(settings, weights):
    if not settings.graft or settings.num_networks == 1:
        return 0
    return 2 * settings.num_networks * weights


def _bytes(variable):
    return keras.ops.convert_to_numpy(variable).nbytes


def _mib(count):
    return f"{count / 2**20:,.1f} MiB"
