"""What each loss term, graft and monitor costs.

    python benchmarks/costs.py [--networks=4] [--model=resnet20] [--json=FILE]

One process holds a trainer for each way to train; they train a few steps in
turns. A term costs what a step with it takes longer than one without, a
callback its seconds over those of an epoch's steps.
"""

import argparse
import pathlib
import sys
import tempfile
import time
from collections.abc import Sequence

from measuring import json_file
from measuring.intervals import estimate
from measuring.intervals import ratios
from measuring.machine import describe_machine
from measuring.turns import Deadline
from measuring.turns import interleave
from measuring.workload import NUM_CLASSES
from measuring.workload import Workload
from measuring.workload import synthetic_images

from keras_graft.runs.strategy import import_tensorflow_quietly

_PLAIN = "no distillation"
_DIVERGENCE_IMAGES = 512


def main() -> int:
    import_tensorflow_quietly()
    options = parse_options()
    workload = Workload(options.networks, options.model)
    deadline = Deadline(60 * options.minutes)
    with tempfile.TemporaryDirectory() as folder:
        result = measure(
            workload, options.steps, options.rounds, deadline, folder
        )
    print("\n".join(table(result)))
    json_file.write(options.json, result)
    return 0


def measure(
    workload: Workload,
    steps: int,
    rounds: int,
    deadline: Deadline,
    folder: str,
) -> dict:
    """Measures steps and callbacks.

    Args:
        workload: Networks, model, batch and steps of an epoch.
        steps: Steps of a turn.
        rounds: Most rounds.
        deadline: When no further round begins.
        folder: For checkpoints.

    Returns:
        `steps` and `callbacks` by name: `seconds`, `share` (of a step without
        distillation, or of an epoch's steps) and the share's `interval`.
    """
    images, labels = synthetic_images(
        workload.validation_images + steps * workload.batch_size, 0
    )
    batches = _batches(images, labels, workload.batch_size, steps)
    trainers = {
        name: _trainer(workload, terms)
        for name, terms in _ways(workload).items()
    }
    turns = {
        name: lambda trainer=trainer: _seconds_of_step(trainer, batches, steps)
        for name, trainer in trainers.items()
    }
    for name, turn in turns.items():
        print(f"Tracing: {name}", flush=True)
        turn()
    callbacks = _callbacks(
        trainers[_PLAIN], images[:_DIVERGENCE_IMAGES], folder
    )
    for turn in callbacks.values():
        turn()
    found = interleave(
        turns | callbacks, rounds, deadline, lambda line: print(line)
    )
    plain = found[_PLAIN]
    epoch = [workload.steps * seconds for seconds in plain]
    return {
        "networks": workload.networks,
        "model": workload.model,
        "machine": describe_machine(),
        "steps": {
            name: share_of(found[name], plain, added=True)
            for name in turns
            if name != _PLAIN
        },
        "callbacks": {
            name: share_of(found[name], epoch, added=False)
            for name in callbacks
        },
    }


def share_of(
    seconds: Sequence[float], whole: Sequence[float], added: bool
) -> dict:
    """What something costs as a share of a whole, round by round.

    Args:
        seconds: One value a round.
        whole: As many.
        added: Whether `seconds` are those of the whole and more, so that the
            cost is what they are longer.

    Returns:
        `seconds` and `share` (medians), and the share's `interval`.
    """
    shares = [share - 1 if added else share for share in ratios(seconds, whole)]
    found = estimate(shares)
    return {
        "seconds": estimate(seconds).median,
        "share": found.median,
        "interval": [found.low, found.high],
    }


def _ways(workload):
    """Distillation terms by name."""
    import keras

    from keras_graft import MutualDistillation
    from keras_graft import TeacherDistillation
    from keras_graft import models
    from keras_graft.distillation import PeerFeatureDistillation

    teacher = models.build(workload.model, NUM_CLASSES, seed=99)
    features = keras.distillation.FeatureDistillation(
        loss="mse", teacher_layer_name="pool", student_layer_name="pool"
    )
    return {
        _PLAIN: None,
        "MutualDistillation": MutualDistillation(),
        "TeacherDistillation, one teacher as large": TeacherDistillation(
            teacher
        ),
        "PeerFeatureDistillation, one layer": PeerFeatureDistillation(features),
    }


def _trainer(workload, terms):
    import keras

    import keras_graft
    from keras_graft import models
    from keras_graft.optimizers.coupled_sgd import CoupledSGD

    networks = [
        models.build(workload.model, NUM_CLASSES, seed=k)
        for k in range(workload.networks)
    ]
    trainer = keras_graft.GraftTrainer(networks, distillation=terms)
    trainer.compile(
        optimizer=CoupledSGD(0.05),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return trainer


def _batches(images, labels, batch_size, steps):
    import tensorflow as tf

    count = steps * batch_size
    data = tf.data.Dataset.from_tensor_slices((images[:count], labels[:count]))
    # One more than is timed: the first step starts the iterator.
    return data.batch(batch_size).cache().repeat().take(steps + 1)


def _seconds_of_step(trainer, batches, steps):
    import keras

    marks = []
    timer = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: marks.append(time.perf_counter())
    )
    trainer.fit(batches, epochs=1, callbacks=[timer], verbose=0)
    return (marks[-1] - marks[0]) / steps


def _callbacks(trainer, images, folder):
    """By name: a function that does an epoch's work and returns its time."""
    import keras_graft
    from keras_graft.diagnosis.divergence import DivergenceMonitor

    def ready(callback):
        callback.set_model(trainer)
        callback.on_train_begin()
        return callback

    def timed(work):
        def turn():
            begin = time.perf_counter()
            work()
            return time.perf_counter() - begin

        return turn

    grafts = {
        "graft, entropy": {},
        "graft, l1": {"criterion": "l1"},
        "graft, gamma": {"criterion": "gamma"},
        "graft, internal": {"source": "internal"},
        "graft, noise": {"source": "noise"},
    }
    turns = {
        name: timed(
            lambda graft=ready(keras_graft.GraftCallback(**arguments)): (
                graft.graft(1)
            )
        )
        for name, arguments in grafts.items()
    }
    monitors = {
        "InvalidFilterMonitor": keras_graft.InvalidFilterMonitor(),
        "DivergenceMonitor": DivergenceMonitor(images),
    }
    for name, monitor in monitors.items():
        ready(monitor)
        turns[name] = timed(lambda monitor=monitor: monitor.on_epoch_end(0, {}))
    turns["RunCheckpoint"] = lambda: _seconds_of_checkpoint(trainer, folder)
    return turns


def _seconds_of_checkpoint(trainer, folder):
    """Of writing: what a checkpoint needs of `fit` is left out."""
    from keras_graft.checkpoint.files import write_checkpoint
    from keras_graft.checkpoint.training_state import read_arrays

    begin = time.perf_counter()
    write_checkpoint(pathlib.Path(folder), 1, read_arrays(trainer), {})
    return time.perf_counter() - begin


def table(result: dict) -> list[str]:
    """The costs in Markdown."""
    lines = [
        "| | seconds | share | 90 % interval |",
        "| --- | --- | --- | --- |",
    ]
    for kind, of in (("steps", "a step"), ("callbacks", "an epoch's steps")):
        for name, cost in result[kind].items():
            low, high = cost["interval"]
            lines.append(
                f"| {name} | {cost['seconds']:.3g} | {cost['share']:+.1%} "
                f"of {of} | {low:+.1%} to {high:+.1%} |"
            )
    return lines


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--networks", type=int, default=4)
    parser.add_argument("--model", default="resnet20")
    parser.add_argument(
        "--steps", type=int, default=3, help="Steps of each turn."
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--minutes",
        type=float,
        default=30.0,
        help="No round begins that would not end in this time.",
    )
    parser.add_argument("--json", help="File to write.")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
