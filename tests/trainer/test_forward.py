import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from builders import compiled
from builders import make_trainer
from builders import sgd
from builders import slow_but
from forward_networks import Counter
from forward_networks import Marked
from forward_networks import Often
from forward_networks import Shift
from forward_networks import Small
from forward_networks import frozen
from forward_networks import pooled
from forward_networks import regularised

import keras_graft
from keras_graft import models
from keras_graft.distillation import FeatureTaps
from keras_graft.distillation import PeerFeatureDistillation
from keras_graft.trainer.forward import forward_all


@keras.saving.register_keras_serializable(package="test_forward")
def trained(images, networks, fit=None, **arguments):
    """A trainer after two epochs, and their logs."""
    trainer = compiled(
        keras_graft.GraftTrainer(networks, **arguments),
        optimizer=[sgd(0.1 / (k + 1)) for k in range(len(networks))],
    )
    history = trainer.fit(
        *images,
        batch_size=24,
        epochs=2,
        shuffle=False,
        validation_data=images,
        verbose=0,
        **(fit or {}),
    )
    return trainer, history.history


def in_functions(trainer, x, y):
    """For each kind of step: are its convolutions in functions of their own?

    They are where networks share one; else they stand in the step itself.
    """
    found = []
    for step, batch in (
        (trainer.train_step, (x, y)),
        (trainer.test_step, (x, y)),
        (trainer.predict_step, x),
    ):
        batch = tf.nest.map_structure(tf.constant, batch)
        graph = tf.function(step).get_concrete_function(batch).graph
        operations = {operation.type for operation in graph.get_operations()}
        found.append("Conv2D" not in operations)
    return found


SHARED, ONE_BY_ONE = [True] * 3, [False] * 3


def state_of(trainer, images):
    """Weights, seeds, slots and predictions."""
    variables = [
        *(v for network in trainer.networks for v in network.variables),
        *trainer.optimizer.variables,
    ]
    # What `Marked` counts is no state of what is compared.
    kept = [np.array(v) for v in variables if v.name != "total"]
    return [*kept, trainer.predict(images[0], verbose=0)]


def assert_shared_like_one_by_one(make, images, assert_same, **arguments):
    """Trains networks that share a function, and the same one by one.

    Args:
        make: Makes the networks; is given layers that end each of them.
        images: What to train on.
        assert_same: Compares two arrays.
        **arguments: Of `trained`.
    """
    ends, logs = [], []
    # A network that keeps a state beside its weights is computed by itself.
    for last, expected in (
        (lambda: [], SHARED),
        (lambda: [Marked()], ONE_BY_ONE),
    ):
        trainer, history = trained(images, make(last), **arguments)
        assert in_functions(trainer, *images) == expected
        ends.append(state_of(trainer, images))
        logs.append(history)
    for a, b in zip(*ends, strict=True):
        assert_same(a, b)
    shared, one_by_one = logs
    # What `Marked` counts is in the logs, too.
    of_calls = {name for name in one_by_one if name.endswith("calls")}
    assert shared.keys() == one_by_one.keys() - of_calls
    for name, values in shared.items():
        assert_same(values, one_by_one[name])


def features():
    return PeerFeatureDistillation(
        keras.distillation.FeatureDistillation(
            loss="mse", teacher_layer_name="pool", student_layer_name="pool"
        )
    )


ALIKE = {
    "everything": (
        lambda seed, *last: regularised(seed, Small(), *last),
        {"fit": {"sample_weight": np.linspace(0.5, 1.5, 64)}},
    ),
    "frozen layers, no distillation": (frozen, {"distillation": None}),
}


@pytest.mark.parametrize("case", slow_but(["everything"], ALIKE))
def test_networks_that_share_a_function_train_to_the_same_bits(images, case):
    make, arguments = ALIKE[case]
    assert_shared_like_one_by_one(
        lambda last: [make(seed, *last()) for seed in range(2)],
        images,
        np.testing.assert_array_equal,
        **arguments,
    )


@pytest.mark.slow
def test_gradients_of_many_uses_are_the_same_up_to_rounding(images):
    assert_shared_like_one_by_one(
        lambda last: [regularised(seed, Often(), *last()) for seed in range(2)],
        images,
        functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6),
    )


@pytest.mark.parametrize("policy", ["mixed_bfloat16"], indirect=True)
def test_a_lone_network_has_a_function_where_that_is_faster(images, policy):
    assert_shared_like_one_by_one(
        lambda last: [regularised(0, *last())],
        images,
        np.testing.assert_array_equal,
    )


@pytest.mark.parametrize("policy", ["mixed_bfloat16"], indirect=True)
@pytest.mark.parametrize("layer, count", [(Counter, 2), (Marked, 1)])
def test_networks_keep_state_beside_their_weights(images, policy, layer, count):
    layers = [layer() for _ in range(count)]
    trained(images, [regularised(k, own) for k, own in enumerate(layers)])
    assert all(float(own.calls.result()) > 0 for own in layers)


def test_nothing_is_shared_without_fused_layers(images):
    networks = [regularised(0), regularised(1)]
    trainer, _ = trained(images, networks, accelerate=False)
    assert in_functions(trainer, *images) == ONE_BY_ONE


def test_inner_layers_come_out_of_a_shared_function(images):
    assert_shared_like_one_by_one(
        lambda last: [regularised(seed, *last()) for seed in range(2)],
        images,
        np.testing.assert_array_equal,
        distillation=features(),
    )


def share(networks, training):
    seen = []

    @tf.function(autograph=False)
    def call(x):
        predictions = forward_all(networks, [x] * len(networks), training)
        seen.append(predictions.shared)
        return predictions.outputs

    call.get_concrete_function(tf.TensorSpec([8, 8, 8, 1]))
    return seen[0]


def test_networks_share_what_they_compute_alike():
    networks = [regularised(0, dropout=0.1), regularised(1, dropout=0.2)]
    assert not share(networks, training=True)
    assert share(networks, training=False)


def test_residual_networks_share_a_function_in_training():
    # Their BatchNormalization is replaced in a step.
    networks = [models.build("resnet8", 10, (16, 16, 3)) for _ in range(2)]
    # XLA, which Keras takes on a GPU, shares no functions.
    trainer = make_trainer(networks, jit_compile=False)
    x, y = np.zeros([4, 16, 16, 3], "float32"), np.arange(4)
    trainer.fit(x, y, verbose=0)
    assert in_functions(trainer, x, y)[0]


def test_networks_of_stock_layers_are_traced_once(monkeypatch):
    calls = []
    stock = keras.layers.Dense.call

    def counted(self, *arguments, **keywords):
        calls.append(self)
        return stock(self, *arguments, **keywords)

    networks = [regularised(k) for k in range(3)]
    monkeypatch.setattr(keras.layers.Dense, "call", counted)
    assert share(networks, training=True)
    assert len(calls) == 1


def test_names_tell_which_layers_are_tapped():
    def named(*names):
        return keras.Sequential(
            [
                keras.Input((8, 8, 1)),
                *(keras.layers.Dense(1, name=name) for name in names),
                keras.layers.GlobalAveragePooling2D(),
            ]
        )

    networks = [named("a", "b"), named("b", "a")]
    taps = FeatureTaps(networks, ["a"])

    @tf.function(autograph=False)
    def features(x):
        return forward_all(networks, [x, x], False, taps).features

    x = np.random.default_rng(0).normal(size=(2, 8, 8, 1)).astype("float32")
    first, second = features(tf.constant(x))
    np.testing.assert_allclose(
        first["a"], networks[0].get_layer("a")(x), rtol=1e-5, atol=1e-6
    )
    inside = networks[1].get_layer("b")(x)
    np.testing.assert_allclose(
        second["a"], networks[1].get_layer("a")(inside), rtol=1e-5, atol=1e-6
    )


def test_networks_that_see_inputs_of_unlike_types_share_nothing():
    networks = [regularised(0), regularised(1)]

    @tf.function(autograph=False)
    def shared(x):
        views = [x, tf.cast(x, "uint8")]
        return forward_all(networks, views, training=False).shared

    assert not shared(tf.zeros([2, 8, 8, 1]))


DIFFERENT = {
    "numbers in no config": lambda: [
        regularised(0, Shift(0)),
        regularised(1, Shift(1)),
    ],
    "layers": lambda: [regularised(0), regularised(1, keras.layers.ReLU())],
    "shapes": lambda: [pooled(4), pooled(5)],
    "what is trained": lambda: [regularised(0), frozen(1)],
    "state beside weights": lambda: [
        regularised(k, Counter()) for k in range(2)
    ],
    "state that is not read": lambda: [
        regularised(k, Marked()) for k in range(2)
    ],
    "state of one": lambda: [regularised(0, Shift()), regularised(1, Marked())],
    "a single one": lambda: [regularised(0)],
}


@pytest.mark.parametrize("difference", DIFFERENT)
def test_networks_that_differ_are_computed_one_by_one(difference):
    assert not share(DIFFERENT[difference](), training=True)


def test_nothing_is_shared_without_tracing_or_under_a_strategy(two_replicas):
    networks = [regularised(0), regularised(1)]
    x = tf.zeros([2, 8, 8, 1])
    assert not forward_all(networks, [x, x], training=False).shared
    with two_replicas.scope():
        assert not share(networks, training=False)


def test_a_network_that_diverges_leaves_its_peer_alone_in_a_shared_function(
    images,
):
    networks = [regularised(0), regularised(1)]
    weights = [np.array(v) for v in networks[1].weights]
    trainer = make_trainer(networks)
    networks[1].layers[-1].bias.assign([np.nan] * 4)
    statistics = [np.array(v) for v in networks[1].non_trainable_weights]
    trainer.fit(*images, batch_size=32, epochs=1, verbose=0)
    assert in_functions(trainer, *images) == SHARED
    assert list(trainer.status) == ["live", "retired"]
    for old, variable in zip(weights[:-1], networks[1].weights[:-1]):
        np.testing.assert_array_equal(old, variable)
    for old, variable in zip(statistics, networks[1].non_trainable_weights):
        np.testing.assert_array_equal(old, variable)
    assert all(np.isfinite(v).all() for v in networks[0].weights)


def convolutions(count):
    """How many convolutions TensorFlow holds for a step."""
    trainer = make_trainer([regularised(k) for k in range(count)])
    batch = (tf.zeros([8, 8, 8, 1]), tf.zeros([8], "int32"))
    trainer.train_on_batch(*batch)
    step = tf.function(trainer.train_step).get_concrete_function(batch)
    graph = step.graph.as_graph_def()
    nodes = [
        *graph.node,
        *(n for f in graph.library.function for n in f.node_def),
    ]
    return sum(node.op.startswith("Conv2D") for node in nodes)


def test_a_graph_holds_networks_that_are_alike_once():
    assert convolutions(2) == convolutions(3)
