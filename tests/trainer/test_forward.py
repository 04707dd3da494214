import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_graft
from keras_graft import models
from keras_graft.distillation import FeatureTaps
from keras_graft.distillation import PeerFeatureDistillation
from keras_graft.trainer import forward
from keras_graft.trainer.forward import forward_all


@keras.saving.register_keras_serializable(package="test_forward")
class Shift(keras.layers.Layer):
    """Adds a number that its config does not tell."""

    def __init__(self, by=0.0, **kwargs):
        super().__init__(**kwargs)
        self.by = by

    def call(self, x):
        return x + self.by


class Counter(keras.layers.Layer):
    """Counts its calls in a metric."""

    def __init__(self):
        super().__init__()
        self.calls = keras.metrics.Sum()

    def call(self, x):
        self.calls.update_state(1)
        return x


class Marked(keras.layers.Layer):
    """Marks its calls in a metric that it does not read."""

    def __init__(self):
        super().__init__()
        self.calls = keras.metrics.Sum()

    def call(self, x):
        self.calls.total.assign(1.0)
        return x


class Often(keras.layers.Layer):
    """Uses its input four times."""

    def call(self, x):
        return x * keras.ops.sigmoid(x) + keras.ops.sin(x) - 0.3 * x


class Small(keras.layers.Layer):
    """Asks for small outputs."""

    def call(self, x):
        self.add_loss(1e-3 * keras.ops.mean(keras.ops.square(x)))
        return x


def network(seed, *extra, dropout=0.3):
    init = keras.initializers.GlorotUniform
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.Conv2D(
        4,
        3,
        kernel_initializer=init(seed),
        kernel_regularizer=keras.regularizers.L2(1e-3),
    )(x)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.ReLU()(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    x = keras.layers.Dropout(dropout, seed=seed)(x)
    for layer in extra:
        x = layer(x)
    outputs = keras.layers.Dense(4, kernel_initializer=init(seed + 100))(x)
    return keras.Model(inputs, outputs)


def pooled(filters):
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(filters, 3),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(4),
        ]
    )


def momentum(rate=0.1):
    return keras.optimizers.SGD(rate, momentum=0.9)


def trained(images, networks, optimizers=None, fit=None, **arguments):
    """Weights, slots and logs after two epochs."""
    trainer = keras_graft.GraftTrainer(networks, **arguments)
    trainer.compile(
        optimizers or [momentum(0.1 / (k + 1)) for k in range(len(networks))],
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
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
    variables = [
        *(v for n in networks for v in n.variables),
        *trainer.optimizer.variables,
    ]
    predicted = trainer.predict(images[0], verbose=0)
    return [*map(np.array, variables), predicted], history.history


@pytest.fixture
def shared(monkeypatch):
    """Whether networks shared a function, a list with an entry per trace."""
    seen = []
    look = forward.through_one_function

    def watched(*arguments):
        found = look(*arguments)
        seen.append(found is not None)
        return found

    monkeypatch.setattr(forward, "through_one_function", watched)
    return seen


def one_by_one(monkeypatch, images, *arguments, **keywords):
    with monkeypatch.context() as patch:
        patch.setattr(forward, "through_one_function", lambda *_: None)
        return trained(images, *arguments, **keywords)


def assert_equal(one, other):
    for a, b in zip(one[0], other[0], strict=True):
        np.testing.assert_array_equal(a, b)
    assert one[1].keys() == other[1].keys()
    for name, values in one[1].items():
        np.testing.assert_array_equal(values, other[1][name], name)


def features():
    return PeerFeatureDistillation(
        keras.distillation.FeatureDistillation(
            loss="mse", teacher_layer_name="pool", student_layer_name="pool"
        )
    )


def frozen(seed):
    made = network(seed)
    made.layers[2].trainable = False
    return made


ALIKE = {
    "everything": (
        lambda seed: network(seed, Small()),
        {},
        {"sample_weight": np.linspace(0.5, 1.5, 64)},
    ),
    "frozen layers, no distillation": (frozen, {"distillation": None}, {}),
}


@pytest.mark.parametrize("case", ALIKE)
def test_networks_that_share_a_function_train_to_the_same_bits(
    images, monkeypatch, shared, case
):
    make, arguments, fit = ALIKE[case]

    def networks():
        return [make(seed) for seed in range(3)]

    found = trained(images, networks(), fit=fit, **arguments)
    assert shared and all(shared)
    expected = one_by_one(monkeypatch, images, networks(), fit=fit, **arguments)
    assert_equal(found, expected)


def test_gradients_of_many_uses_are_the_same_up_to_rounding(
    images, monkeypatch, shared
):
    def networks():
        return [network(seed, Often()) for seed in range(2)]

    found = trained(images, networks())
    assert shared and all(shared)
    expected = one_by_one(monkeypatch, images, networks())
    for a, b in zip(found[0], expected[0], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_bfloat16"], indirect=True)
def test_a_lone_network_has_a_function_where_that_is_faster(
    images, monkeypatch, shared, policy
):
    found = trained(images, [network(0)])
    assert shared and all(shared)
    expected = one_by_one(monkeypatch, images, [network(0)])
    assert_equal(found, expected)


@pytest.mark.parametrize("policy", ["mixed_bfloat16"], indirect=True)
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("layer", [Counter, Marked])
def test_networks_keep_state_beside_their_weights(images, policy, layer, count):
    layers = [layer() for _ in range(count)]
    trained(images, [network(k, own) for k, own in enumerate(layers)])
    assert all(float(own.calls.result()) > 0 for own in layers)


def test_nothing_is_shared_without_fused_layers(images, shared):
    trained(images, [network(0), network(1)], accelerate=False)
    assert not shared


def test_inner_layers_come_out_of_a_shared_function(
    images, monkeypatch, shared
):
    found = trained(images, [network(0), network(1)], distillation=features())
    assert shared and all(shared)
    expected = one_by_one(
        monkeypatch,
        images,
        [network(0), network(1)],
        distillation=features(),
    )
    assert_equal(found, expected)


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
    networks = [network(0, dropout=0.1), network(1, dropout=0.2)]
    assert not share(networks, training=True)
    assert share(networks, training=False)


def test_residual_networks_share_a_function_in_training(shared):
    # Their padding and BatchNormalization are replaced in a step.
    networks = [models.build("resnet8", 10, (16, 16, 3)) for _ in range(2)]
    trainer = keras_graft.GraftTrainer(networks, distillation="mutual")
    trainer.compile(
        optimizer=[keras.optimizers.SGD(0.01) for _ in networks],
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        # XLA, which Keras takes on a GPU, shares no functions.
        jit_compile=False,
    )
    trainer.fit(np.zeros([4, 16, 16, 3]), np.arange(4), verbose=0)
    assert shared == [True]


def test_networks_of_stock_layers_are_traced_once(monkeypatch):
    calls = []
    stock = keras.layers.Dense.call

    def counted(self, *arguments, **keywords):
        calls.append(self)
        return stock(self, *arguments, **keywords)

    networks = [network(k) for k in range(3)]
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
    networks = [network(0), network(1)]

    @tf.function(autograph=False)
    def shared(x):
        views = [x, tf.cast(x, "uint8")]
        return forward_all(networks, views, training=False).shared

    assert not shared(tf.zeros([2, 8, 8, 1]))


DIFFERENT = {
    "numbers in no config": lambda: [
        network(0, Shift(0)),
        network(1, Shift(1)),
    ],
    "layers": lambda: [network(0), network(1, keras.layers.ReLU())],
    "shapes": lambda: [pooled(4), pooled(5)],
    "what is trained": lambda: [network(0), frozen(1)],
    "state beside weights": lambda: [network(k, Counter()) for k in range(2)],
    "state that is not read": lambda: [network(k, Marked()) for k in range(2)],
    "state of one": lambda: [network(0, Shift()), network(1, Marked())],
    "a single one": lambda: [network(0)],
}


@pytest.mark.parametrize("difference", DIFFERENT)
def test_networks_that_differ_are_computed_one_by_one(difference):
    assert not share(DIFFERENT[difference](), training=True)


def test_nothing_is_shared_without_tracing_or_under_a_strategy(two_replicas):
    networks = [network(0), network(1)]
    x = tf.zeros([2, 8, 8, 1])
    assert not forward_all(networks, [x, x], training=False).shared
    with two_replicas.scope():
        assert not share(networks, training=False)


def test_a_network_that_diverges_leaves_its_peer_alone_in_a_shared_function(
    images, shared
):
    networks = [network(0), network(1)]
    weights = [np.array(v) for v in networks[1].weights]
    trainer = keras_graft.GraftTrainer(networks)
    trainer.compile(
        [momentum(), momentum()],
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    networks[1].layers[-1].bias.assign([np.nan] * 4)
    statistics = [np.array(v) for v in networks[1].non_trainable_weights]
    trainer.fit(*images, batch_size=32, epochs=1, verbose=0)
    assert shared and all(shared)
    assert list(trainer.status) == ["live", "retired"]
    for old, variable in zip(weights[:-1], networks[1].weights[:-1]):
        np.testing.assert_array_equal(old, variable)
    for old, variable in zip(statistics, networks[1].non_trainable_weights):
        np.testing.assert_array_equal(old, variable)
    assert all(np.isfinite(v).all() for v in networks[0].weights)


def convolutions(count):
    """How many convolutions TensorFlow holds for a step."""
    trainer = keras_graft.GraftTrainer([network(k) for k in range(count)])
    trainer.compile(
        momentum(),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
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
