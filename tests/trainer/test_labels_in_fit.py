"""Labels, weights and views of examples, as a trainer meets them."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from builders import batches
from builders import compiled
from builders import crossentropy
from builders import make_trainer
from builders import sgd
from builders import small_network
from builders import small_networks
from comparisons import assert_same
from comparisons import weights_of

import keras_graft


def test_one_hot_labels_train_like_sparse_ones(images):
    x, y = images
    losses = {
        "sparse": (crossentropy(), y),
        "one_hot": (
            keras.losses.CategoricalCrossentropy(from_logits=True),
            keras.utils.to_categorical(y, 4),
        ),
        "column": (crossentropy(), y[:, None]),
    }
    ends = {}
    for name, (loss, labels) in losses.items():
        trainer = make_trainer(small_networks(2), loss=loss)
        trainer.fit(x, labels, batch_size=16, shuffle=False, verbose=0)
        ends[name] = weights_of(trainer.networks[0])
    for name in ("one_hot", "column"):
        for a, b in zip(ends["sparse"], ends[name], strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6)


def test_softmax_outputs_train_like_logits(images):
    x, y = images
    ends = []
    for activation in (None, "softmax"):
        trainer = make_trainer(
            small_networks(2, activation=activation),
            loss=crossentropy(from_logits=activation is None),
        )
        trainer.fit(x, y, batch_size=16, shuffle=False, verbose=0)
        ends.append(weights_of(trainer.networks[1]))
        probabilities = trainer.predict(x, verbose=0)
        np.testing.assert_allclose(probabilities.sum(-1), 1, rtol=1e-5)
    for a, b in zip(*ends, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.parametrize("how", ["sample_weight", "class_weight"])
def test_weight_zero_takes_examples_out(images, how):
    x, y = images
    keep = y < 2
    if how == "sample_weight":
        weighting = {"sample_weight": keep.astype("float32")}
    else:
        weighting = {"class_weight": {0: 1.0, 1: 1.0, 2: 0.0, 3: 0.0}}
    ends = []
    for poison in (0.0, 5.0):
        poisoned = np.where(keep[:, None, None, None], x, x + poison)
        trainer = make_trainer(small_networks(2, batch_norm=False))
        trainer.fit(
            poisoned, y, batch_size=64, shuffle=False, verbose=0, **weighting
        )
        ends.append(weights_of(trainer.networks[0]))
    assert_same(*ends)


def test_each_network_gets_its_own_view(images):
    x, y = images
    views = {"network_0": x, "network_1": x[::-1].copy()}
    labels = {"network_0": y, "network_1": y[::-1].copy()}
    dataset = tf.data.Dataset.from_tensor_slices((views, labels)).batch(16)
    trainer = make_trainer(
        [small_network(0), small_network(0)], distillation=None
    )
    history = trainer.fit(dataset, verbose=0).history
    for k, order in enumerate((slice(None), slice(None, None, -1))):
        alone = small_network(0)
        alone.compile(sgd(), crossentropy())
        alone.fit(x[order], y[order], batch_size=16, shuffle=False, verbose=0)
        pairs = zip(
            weights_of(trainer.networks[k]), weights_of(alone), strict=True
        )
        for mine, theirs in pairs:
            np.testing.assert_allclose(mine, theirs, atol=1e-6)
    # Different labels have no ensemble.
    assert np.isnan(history["ensemble_accuracy"][0])


def test_activation_that_contradicts_from_logits_is_refused():
    with pytest.raises(ValueError, match="squashed twice"):
        make_trainer([small_network(activation="softmax")])
    with pytest.raises(ValueError, match="takes probabilities"):
        make_trainer([small_network()], loss=crossentropy(from_logits=False))


@pytest.mark.parametrize("where", ["training", "validation"])
def test_labels_beyond_the_output_units_are_refused(images, where):
    x, y = images
    trainer = make_trainer([small_network()])
    before = weights_of(trainer.networks[0])
    fit = {
        "training": {"y": y + 1},
        "validation": {"y": y, "validation_data": (x, y + 1)},
    }[where]
    with pytest.raises(ValueError, match="4 output units.*from 1 to 4"):
        trainer.fit(x, verbose=0, **fit)
    assert_same(before, weights_of(trainer.networks[0]))


def test_label_out_of_range_in_a_dataset_is_named(images):
    x, y = images
    network = small_network()
    before = [v.numpy() for v in network.trainable_variables]
    with pytest.raises(ValueError, match="label of the data is 7.*0 to 3"):
        make_trainer([network]).fit(batches((x, y + 4 * (y == 3))), verbose=0)
    assert_same(before, [v.numpy() for v in network.trainable_variables])


def test_loss_that_does_not_tell_trains_like_one_that_does(images):
    ends = []
    for loss in (
        crossentropy(),
        lambda y, z: keras.losses.sparse_categorical_crossentropy(
            y, z, from_logits=True
        ),
    ):
        # Of the function nobody knows what it takes: it has to be said.
        trainer = keras_graft.GraftTrainer(
            small_networks(2), heads="class_logits"
        )
        compiled(trainer, loss=loss)
        trainer.fit(batches(images), verbose=0)
        ends.append(weights_of(trainer.networks[0]))
    for a, b in zip(*ends, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_labels_of_the_wrong_shape_are_refused(images):
    x, y = images
    trainer = make_trainer([small_network()])
    with pytest.raises(ValueError, match="integer labels of shape"):
        trainer.fit(x, keras.utils.to_categorical(y, 4))
    trainer = make_trainer(
        [small_network()],
        loss=keras.losses.CategoricalCrossentropy(from_logits=True),
    )
    with pytest.raises(ValueError, match="one-hot labels of shape"):
        trainer.fit(x, keras.utils.to_categorical(y, 7))


@pytest.mark.parametrize(
    "method", ["fit", "evaluate", "train_on_batch", "test_on_batch"]
)
def test_inputs_without_labels_are_refused(images, method):
    trainer = make_trainer([small_network(), small_network(1)])
    with pytest.raises(ValueError, match="learn from labels.*y=None"):
        getattr(trainer, method)(images[0])
    assert not trainer.optimizer.built


def test_datasets_without_labels_are_refused(images):
    trainer = make_trainer([small_network(), small_network(1)])
    with pytest.raises(ValueError, match="learn from labels.*y=None"):
        trainer.fit(tf.data.Dataset.from_tensors(images[0]))
