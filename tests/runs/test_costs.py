"""What `--plan` says, against what a trainer really holds and sends."""

import pathlib
import sys
import types

import numpy as np
import tensorflow as tf
from builders import make_trainer
from builders import small_network
from builders import small_networks

import keras_graft
from keras_graft.runs import costs
from keras_graft.runs.run_plan import checkpoint_bytes
from keras_graft.runs.run_plan import plan

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "benchmarks"))

import placement  # noqa: E402

# A network of 1,000 numbers, 100 of them normalised channels.
SMALL = costs.NetworkSize(
    parameters=1000,
    statistics=200,
    normalised_channels=100,
    classes=10,
    activations=50,
    flops=7,
)


def test_size_counts_what_a_network_has():
    size = costs.size_of(small_network())
    # 3x3x1x6 kernel, gamma, beta, 6x4 dense and its bias; mean, variance.
    assert (size.parameters, size.statistics) == (54 + 12 + 28, 12)
    assert (size.normalised_channels, size.classes) == (6, 4)
    # Input and rescaled 64 each, convolution and ReLU 6x6x6 each, 6, 4.
    assert size.activations == 2 * 64 + 2 * 216 + 6 + 4


def test_bytes_of_a_step_are_those_that_the_graph_sums(images, two_replicas):
    x, y = images
    with two_replicas.scope():
        trainer = make_trainer(small_networks(2), metrics=None)
        trainer.test_on_batch(x[:8], y[:8])
        trainer.optimizer.build_for(trainer.networks)

    @tf.function
    def step(*batch):
        return two_replicas.run(trainer.train_step, args=(batch,))

    graph = step.get_concrete_function(
        tf.constant(x[:8]), tf.constant(y[:8])
    ).graph
    summed = [
        4 * int(np.prod(op.inputs[0].shape))
        for op in graph.get_operations()
        if op.type == "CollectiveReduceV2" and op.device.endswith("CPU:0")
    ]
    expected = 2 * costs.size_of(trainer.networks[0]).summed_bytes
    # Beside them a few flags: is it finite, is it live?
    assert expected <= sum(summed) <= expected + 100


def test_ring_and_placement_by_hand():
    # Of a sum over 4 devices each sends three quarters, twice.
    assert costs.ring_bytes(400.0, 4) == 600.0
    assert costs.ring_bytes(400.0, 1) == 0.0
    summed = 4 * (1000 + 5 * 100)
    assert costs.data_parallel_step_bytes(SMALL, 2, 4) == 1.5 * 2 * summed
    # A device each: 3 peers get the 10 logits of 4 times 16 images.
    assert costs.placed_step_bytes(SMALL, 4, 4, 16) == 3 * 4 * 16 * 10 * 4
    # Two devices each: they sum their gradients too.
    assert costs.placed_step_bytes(SMALL, 4, 8, 16) == summed + 7680
    assert costs.placed_graft_bytes(SMALL) == 4 * 1200


def test_memory_by_hand():
    # Weights 1,200 and momentum 1,000 twice, gradients 1,000, 8 times 50.
    assert costs.step_memory_bytes(SMALL, 3, 8) == 3 * 4 * (4400 + 1000 + 400)


def test_checkpoint_has_the_size_that_is_told(images, tmp_path):
    x, y = images
    trainer = make_trainer(small_networks(3), metrics=None)
    trainer.fit(
        x,
        y,
        verbose=0,
        callbacks=[keras_graft.RunCheckpoint(tmp_path / "run")],
    )
    (file,) = tmp_path.rglob("arrays.npz")
    found = file.stat().st_size
    assert abs(found - checkpoint_bytes(trainer)) < 0.01 * found


def test_plan_divides_by_the_devices():
    trainer = make_trainer(
        [keras_graft.models.build("resnet20", 10, seed=k) for k in range(2)],
        metrics=None,
    )
    trainer.optimizer.build_for(trainer.networks)
    settings = types.SimpleNamespace(
        num_networks=2, epochs=3, batch_size=64, precision="float32", graft=True
    )
    text = plan(settings, trainer, steps=5, evaluated=10, replicas=4, hosts=2)
    rows = {}
    for line in text.splitlines():
        name, _, value = line.strip().partition("  ")
        rows[name] = value.strip()
    assert rows["devices"] == "2 x 4"
    assert rows["images of a device in a step"] == "8"
    # 2 networks, 7/4 of 269,722 parameters and 5 sums for 688 channels.
    sent = 2 * 1.75 * 4 * (269_722 + 5 * 688) / 2**20
    assert rows["sent by a device in a step"] == f"{sent:,.1f} MiB"
    assert rows["sent by a device in an epoch"] == f"{5 * sent:,.1f} MiB"
    training, of_a_device = (
        float(rows[name].split()[0])
        for name in ("training", "training of a device")
    )
    np.testing.assert_allclose(training / 8, of_a_device, atol=0.01)


def test_table_of_the_design_note_is_the_formulas():
    table = placement.table(placement.sizes())
    notes = ROOT / "benchmarks" / "NOTES.md"
    assert table in notes.read_text(encoding="utf-8")
