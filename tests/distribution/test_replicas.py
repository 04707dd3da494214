import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
import replica_equivalence
import tensorflow as tf
from builders import make_trainer
from builders import sgd
from builders import small_network
from builders import small_networks

import keras_graft
from keras_graft.distribution.replicas import joint_gradients

# The bound of each group of numbers: absolute, and relative above 1.
BOUNDS = {
    "step_1": 1e-5,
    "step_20": 1e-4,
    "evaluate_16": 1e-6,
    "evaluate_21": 1e-6,
    "evaluate_17": 1e-6,
    "graft": 0.0,
    "gentle": 0.0,
    "run": 0.05,
}


@pytest.fixture(scope="module")
def four_replicas(tmp_path_factory):
    """The numbers of a process with four replicas, once they are asked for."""
    out = tmp_path_factory.mktemp("four_replicas") / "numbers.npz"
    program = pathlib.Path(replica_equivalence.__file__)
    # It runs beside the tests of this process.
    with subprocess.Popen(
        [sys.executable, str(program), "mirrored:4", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:

        def numbers():
            output, _ = process.communicate(timeout=300)
            assert process.returncode == 0, output
            return np.load(out)

        yield numbers
        process.kill()


@pytest.fixture(scope="module")
def one_replica(four_replicas):
    return replica_equivalence.measure()


def replicated(strategy):
    with strategy.scope():
        return make_trainer(
            small_networks(2), optimizer=[sgd(rate) for rate in (0.05, 0.1)]
        )


def weights_of(trainer):
    return [v.numpy() for network in trainer.networks for v in network.weights]


def assert_same_numbers(found, expected):
    assert set(found) == set(expected)
    for name, value in expected.items():
        bound = BOUNDS[name.partition("/")[0]]
        np.testing.assert_allclose(
            found[name], value, atol=bound, rtol=bound, err_msg=name
        )


@pytest.mark.slow
def test_two_replicas_change_nothing_but_the_speed(one_replica, two_replicas):
    with two_replicas.scope():
        found = replica_equivalence.measure()
    assert_same_numbers(found, one_replica)


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        # The sum over the replicas is (3, -4), of norm 5, and 0.
        ({"clipnorm": 1.0}, [[0.6, -0.8], [0.0, 0.0]]),
        ({"global_clipnorm": 2.0}, [[1.2, -1.6], [0.0, 0.0]]),
        ({"clipvalue": 3.5}, [[3.0, -3.5], [0.0, 0.0]]),
    ],
)
@pytest.mark.parametrize("scale", [None, 1024.0])
def test_gradients_are_clipped_after_the_reduction(
    two_replicas, limit, expected, scale
):
    shares = tf.constant([[[8.0, -2.0], [9.0, 7.0]], [[-5, -2], [-9, -7]]])
    with two_replicas.scope():
        variables = [keras.Variable(np.zeros(2, "float32")) for _ in range(2)]
        optimizer = keras.optimizers.SGD(1.0, **limit)
        if scale:
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer, scale)
        optimizer.build(variables)

    @tf.function
    def update():
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        gradients = tf.unstack(tf.gather(shares, replica) * (scale or 1.0))
        joint, _ = joint_gradients(optimizer, gradients)
        optimizer.apply(joint, variables)

    two_replicas.run(update)
    for variable, gradient in zip(variables, expected, strict=True):
        for copy in variable.value.values:
            np.testing.assert_allclose(copy, -np.array(gradient), rtol=1e-6)


def test_both_replicas_hold_the_same_weights_after_grafts(images, two_replicas):
    trainer = replicated(two_replicas)
    trainer.fit(
        tf.data.Dataset.from_tensor_slices(images).batch(32),
        epochs=3,
        verbose=0,
        callbacks=[keras_graft.GraftCallback()],
    )
    # One graft more, so that its result is looked at, untrained.
    graft = keras_graft.GraftCallback(start=0, amplitude=0.0)
    graft.set_model(trainer)
    graft.on_train_begin()
    graft.on_epoch_begin(0)
    for network in trainer.networks:
        for variable in network.weights:
            first, second = variable.value.values
            np.testing.assert_array_equal(first.numpy(), second.numpy())
    first, second = (
        [variable.numpy() for variable in network.weights]
        for network in trainer.networks
    )
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


def test_network_masked_on_one_replica_is_masked_on_both(images, two_replicas):
    x, y = images
    x = x.copy()
    # The second half of the batch, so the second replica's, is not finite
    # for network 1 only.
    bad = x.copy()
    bad[32:] = np.nan
    dataset = tf.data.Dataset.from_tensor_slices(
        ({"network_0": x, "network_1": bad}, y)
    ).batch(64)
    trainer = replicated(two_replicas)
    before = [v.numpy() for v in trainer.networks[1].weights]
    trainer.fit(dataset, verbose=0)
    assert trainer.status == ["live", "masked"]
    for variable, old in zip(trainer.networks[1].weights, before, strict=True):
        for copy in variable.value.values:
            np.testing.assert_array_equal(copy.numpy(), old)
    assert np.isfinite(weights_of(trainer)[0]).all()


def kernel_after_dropout(strategy):
    """Trains one step on two equal examples, half of whose units drop out.

    Returns:
        The rows of the kernel that were trained, shape (256,), and the state
        of the seed generator on both replicas.
    """
    with strategy.scope():
        inputs = keras.Input((256,))
        x = keras.layers.Dropout(0.5, seed=7)(inputs)
        outputs = keras.layers.Dense(2, kernel_initializer="zeros")(x)
        network = keras.Model(inputs, outputs)
        trainer = keras_graft.GraftTrainer([network], distillation=None)
        trainer.compile(
            keras.optimizers.SGD(1.0),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
    x, y = np.ones((2, 256), "float32"), np.zeros(2, "int32")
    trainer.fit(x, y, batch_size=2, verbose=0)
    seed = network.layers[1].seed_generator.state
    kernel = network.layers[2].kernel.numpy()
    return (kernel != 0).any(axis=1), [v.numpy() for v in seed.value.values]


def test_dropout_differs_between_replicas_and_repeats(two_replicas):
    trained, (first, second) = kernel_after_dropout(two_replicas)
    # Kept by one of two: three quarters of 256; were the masks alike, half.
    assert 170 < trained.sum() < 215
    # A checkpoint holds one state for all replicas.
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first, [7, 1])
    again, _ = kernel_after_dropout(two_replicas)
    np.testing.assert_array_equal(trained, again)


def test_batch_norm_that_is_not_synchronized_is_refused(two_replicas):
    with two_replicas.scope():
        networks = []
        for _ in range(2):
            inputs = keras.Input((4,))
            batch_norm = keras.layers.BatchNormalization
            x = batch_norm(name="first")(inputs)
            x = batch_norm(name="whole", synchronized=True)(x)
            x = batch_norm(name="frozen", trainable=False)(x)
            outputs = keras.layers.Dense(3)(x)
            networks.append(keras.Model(inputs, outputs))
        trainer = keras_graft.GraftTrainer(networks, distillation=None)
        trainer.compile("sgd", "mse")
    x, y = np.ones((8, 4), "float32"), np.ones((8, 3), "float32")
    named = "synchronized=True: network_0: first, network_1: first.$"
    with pytest.raises(ValueError, match=named):
        trainer.fit(x, y, verbose=0)
    with pytest.raises(ValueError, match=named):
        trainer.train_on_batch(x, y)
    assert np.isfinite(trainer.evaluate(x, y, verbose=0)).all()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"jit_compile": True}, "jit_compile=True works on one replica only"),
        ({"steps_per_execution": 2}, "steps_per_execution=2 works on one"),
        (
            {"loss": keras.losses.Huber(reduction="mean_with_sample_weight")},
            "one replica's share of a batch.*2 replicas",
        ),
        (
            {"optimizer": keras.optimizers.SGD(gradient_accumulation_steps=2)},
            "`gradient_accumulation_steps` of network_0's optimizer",
        ),
        (
            {
                "optimizer": keras.optimizers.LossScaleOptimizer(
                    keras.optimizers.SGD(
                        use_ema=True, ema_overwrite_frequency=2
                    )
                )
            },
            "`ema_overwrite_frequency` of network_0's optimizer",
        ),
    ],
)
def test_what_works_on_one_replica_only_is_refused(
    two_replicas, arguments, complaint
):
    with two_replicas.scope():
        trainer = keras_graft.GraftTrainer([small_network(0)])
        with pytest.raises(ValueError, match=complaint):
            trainer.compile(**{"optimizer": "sgd", "loss": "mse", **arguments})


# Last, since it waits for the other process.
@pytest.mark.slow
def test_four_replicas_change_nothing_but_the_speed(one_replica, four_replicas):
    assert_same_numbers(four_replicas(), one_replica)
    # Otherwise the runs with grafts were compared before they learned.
    assert one_replica["run/accuracy"][-1] > 0.6
