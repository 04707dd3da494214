"""Which kind a head is: from the loss, the last layer, or the argument."""

import functools

import keras
import pytest
from builders import Subclassed
from builders import functional
from keras import layers
from keras import losses

from keras_graft.trainer.head_kinds import heads_of


def kind_of(loss, last="linear", units=3, given=None, needed=True):
    network = functional(layers.Dense(units, activation=last))
    (head,) = heads_of(network, network.outputs[0], loss, given, needed)
    return head.kind


def own_loss(y_true, y_pred):
    return keras.ops.mean(y_pred - y_true)


class SmoothLoss(losses.CategoricalCrossentropy):
    pass


class OwnLoss(losses.Loss):
    def call(self, y_true, y_pred):
        return y_pred


@pytest.mark.parametrize(
    "loss, last, units, kind",
    [
        (
            losses.SparseCategoricalCrossentropy(True),
            "linear",
            3,
            "class_logits",
        ),
        (
            "sparse_categorical_crossentropy",
            "softmax",
            3,
            "class_probabilities",
        ),
        (losses.CategoricalCrossentropy(), "softmax", 3, "class_probabilities"),
        (SmoothLoss(from_logits=True), "linear", 3, "class_logits"),
        (losses.BinaryCrossentropy(True), "linear", 1, "binary_logits"),
        ("binary_crossentropy", "sigmoid", 1, "binary_probabilities"),
        (
            losses.BinaryFocalCrossentropy(from_logits=True),
            "linear",
            4,
            "label_logits",
        ),
        ("binary_crossentropy", "sigmoid", 4, "label_probabilities"),
        ("mse", "linear", 3, "regression"),
        ("mse", "softmax", 3, "class_probabilities"),
        (losses.Huber(), "relu", 1, "regression"),
        (losses.KLDivergence(), "softmax", 3, "class_probabilities"),
        (losses.CosineSimilarity(), "linear", 8, "embedding"),
        (own_loss, "softmax", 3, "class_probabilities"),
        (own_loss, "sigmoid", 1, "binary_probabilities"),
        (OwnLoss(), "sigmoid", 5, "label_probabilities"),
        (
            functools.partial(
                losses.sparse_categorical_crossentropy, from_logits=True
            ),
            "linear",
            3,
            "class_logits",
        ),
    ],
)
def test_kind_is_known(loss, last, units, kind):
    assert kind_of(loss, last, units) == kind


@pytest.mark.parametrize("loss", [own_loss, OwnLoss(), losses.Dice()])
@pytest.mark.parametrize("last", ["linear", "relu"])
def test_what_is_not_known_is_asked_for_with_the_name_of_the_head(loss, last):
    with pytest.raises(ValueError, match="output 'dense.*not known") as error:
        kind_of(loss, last)
    assert "heads={" in str(error.value)
    assert "class_logits" in str(error.value)
    assert kind_of(loss, last, given="class_logits") == "class_logits"
    # One network that learns from nobody gives what it gives.
    assert kind_of(loss, last, needed=False) == "regression"


def test_a_subclassed_network_shows_nothing():
    network = Subclassed()
    output = keras.KerasTensor((None, 3))
    with pytest.raises(ValueError, match="output 'output'.*own_loss.*not seen"):
        heads_of(network, output, own_loss, None, True)
    (head,) = heads_of(
        network, output, losses.SparseCategoricalCrossentropy(), None, True
    )
    assert head.kind == "class_probabilities"


def test_a_loss_of_ones_own_may_say_it():
    loss = OwnLoss()
    loss.head_kind = "embedding"
    assert kind_of(loss) == "embedding"


def test_own_functions_do_not_count_by_their_name():
    def mean_squared_error(y_true, y_pred):
        return y_pred

    with pytest.raises(ValueError, match="not known"):
        kind_of(mean_squared_error)


def two_heads():
    image = keras.Input((4,))
    return keras.Model(
        image,
        {
            "kind": layers.Dense(3, name="k")(image),
            "box": layers.Dense(4, name="b")(image),
            "features": layers.Dense(8, name="f")(image),
        },
    )


def test_each_head_has_the_kind_of_its_loss():
    network = two_heads()
    heads = heads_of(
        network,
        network(keras.KerasTensor((None, 4))),
        {"kind": losses.SparseCategoricalCrossentropy(True), "box": "mae"},
        None,
        True,
    )
    assert [(head.name, head.kind) for head in heads] == [
        ("box", "regression"),
        ("features", "embedding"),
        ("kind", "class_logits"),
    ]


def test_an_argument_that_cannot_be_meant_is_refused():
    network = two_heads()
    outputs = network(keras.KerasTensor((None, 4)))
    for given, match in (
        ({"kin": "class_logits"}, "do not have: ..kin"),
        ({"kind": "logits"}, "'kind' must be one of"),
        ("softmax", "must be one of"),
    ):
        with pytest.raises(ValueError, match=match):
            heads_of(network, outputs, "mse", given, True)
    with pytest.raises(ValueError, match="contradicts the loss"):
        kind_of(
            losses.SparseCategoricalCrossentropy(True),
            given="class_probabilities",
        )
