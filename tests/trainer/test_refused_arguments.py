"""What a trainer refuses before it trains."""

import keras
import pytest
import tensorflow as tf
from builders import batches
from builders import crossentropy
from builders import make_trainer
from builders import sgd
from builders import small_network
from builders import small_networks

import keras_graft


def test_networks_that_share_a_layer_are_refused():
    network = small_network()
    with pytest.raises(ValueError, match="share the layer"):
        keras_graft.GraftTrainer([network, network])
    with pytest.raises(ValueError, match="`networks` is empty"):
        keras_graft.GraftTrainer([])
    with pytest.raises(ValueError, match="must be Keras models"):
        keras_graft.GraftTrainer(["resnet8"])


@pytest.mark.parametrize("name", ["my network", "_network"])
def test_a_network_whose_name_is_no_scope_is_refused(images, name):
    network = small_network()
    network.name = name
    trainer = keras_graft.GraftTrainer([small_network(), network])
    with pytest.raises(ValueError, match=f"network_1 .* the name '{name}'"):
        trainer.compile(sgd(), crossentropy())
    # Without a graph TensorFlow takes any name, with Keras alone too.
    trainer.compile(sgd(), crossentropy(), run_eagerly=True)
    trainer.fit(batches(images), epochs=1, steps_per_epoch=1, verbose=0)


def test_wrong_distillation_is_refused():
    with pytest.raises(ValueError, match="`distillation` must be"):
        keras_graft.GraftTrainer([small_network()], distillation="mutal")


def test_wrong_optimizers_are_refused():
    networks = small_networks(2)
    trainer = keras_graft.GraftTrainer(networks)
    with pytest.raises(ValueError, match="a list of 2, one for each network"):
        trainer.compile([sgd()], crossentropy())
    shared = sgd()
    with pytest.raises(ValueError, match="one object twice"):
        trainer.compile([shared, shared], crossentropy())
    with pytest.raises(ValueError, match="`loss` is missing"):
        trainer.compile(sgd())


def test_fit_before_compile_is_refused(images):
    trainer = keras_graft.GraftTrainer([small_network()])
    with pytest.raises(ValueError, match="Call `compile\\(\\)` before"):
        trainer.fit(batches(images))


def test_empty_data_is_refused(images):
    trainer = make_trainer([small_network()])
    x, y = images
    with pytest.raises(ValueError, match="no training data"):
        trainer.fit(x[:0], y[:0])
    too_large = tf.data.Dataset.from_tensor_slices(images).batch(
        100, drop_remainder=True
    )
    with pytest.raises(ValueError, match="larger than the data"):
        trainer.fit(too_large)


def test_networks_with_other_outputs_are_refused(images):
    inputs = keras.Input((8, 8, 1))
    z = keras.layers.Conv2D(6, 3)(inputs)
    z = keras.layers.GlobalAveragePooling2D()(z)
    other = keras.Model(inputs, keras.layers.Dense(5)(z))
    trainer = make_trainer([small_network(), other])
    with pytest.raises(ValueError, match="must have the same outputs"):
        trainer.fit(batches(images))
