"""Terms with schedules and with features, as a trainer runs them."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from builders import make_trainer
from builders import small_networks

import keras_graft
from keras_graft.distillation import PeerFeatureDistillation


class ThirdStep(keras.optimizers.schedules.LearningRateSchedule):
    """1 at a network's third step, else 0."""

    def __call__(self, step):
        return tf.cast(tf.equal(step, 2), "float32")

    def get_config(self):
        return {}


def trainer_of(networks, term):
    optimizer = keras.optimizers.SGD(0.1)
    return make_trainer(networks, term, optimizer=optimizer)


def distillation_loss(trainer, x, y):
    trainer.reset_metrics()
    logs = trainer.train_on_batch(x, y, return_dict=True)
    return float(logs["distillation_loss"])


def features_of(weight=1.0, layer="bn"):
    return PeerFeatureDistillation(
        keras.distillation.FeatureDistillation(
            loss="mse", teacher_layer_name=layer, student_layer_name=layer
        ),
        weight=weight,
    )


def test_the_weight_follows_the_steps_of_the_optimizers(images):
    term = keras_graft.MutualDistillation(weight=ThirdStep())
    trainer = trainer_of(small_networks(2), term)
    found = [distillation_loss(trainer, *images) for _ in range(4)]
    assert np.flatnonzero(found).tolist() == [2]


def test_a_skipped_step_does_not_count(images):
    term = keras_graft.MutualDistillation(weight=ThirdStep())
    trainer = trainer_of(small_networks(2), term)
    x, y = images
    bad = np.full_like(x, np.nan)
    found = [distillation_loss(trainer, i, y) for i in (x, bad, x, x, x)]
    # The third step that was taken comes with the fourth batch.
    assert np.flatnonzero(np.nan_to_num(found)).tolist() == [3]


def test_a_saved_trainer_goes_on_where_the_schedule_was(images, tmp_path):
    ramp = keras.optimizers.schedules.PolynomialDecay(
        0.0, decay_steps=8, end_learning_rate=1.0
    )
    term = keras_graft.MutualDistillation(weight=ramp)
    trainer = trainer_of(small_networks(2), term)
    trainer.fit(*images, batch_size=32, epochs=1, verbose=0)
    trainer.save(tmp_path / "trainer.keras")
    loaded = keras.models.load_model(tmp_path / "trainer.keras")
    assert loaded.distillation[0].weight.get_config() == ramp.get_config()
    assert distillation_loss(loaded, *images) == pytest.approx(
        distillation_loss(trainer, *images), rel=1e-4
    )


def test_features_are_those_of_the_training_step(images):
    networks = small_networks(2)
    x, y = images
    copies = [keras.models.clone_model(n) for n in networks]
    for copy, original in zip(copies, networks, strict=True):
        copy.set_weights(original.get_weights())
    inner = [
        np.asarray(
            keras.Model(c.input, c.get_layer("bn").output)(x, training=True)
        )
        for c in copies
    ]
    trainer = trainer_of(networks, features_of(weight=3.0))
    assert distillation_loss(trainer, x, y) == pytest.approx(
        3.0 * np.mean((inner[0] - inner[1]) ** 2), rel=1e-4
    )


def test_features_pull_networks_together_and_statistics_move_once(images):
    x, y = images
    alone = trainer_of(small_networks(2), None)
    alone.train_on_batch(x, y)
    trainer = trainer_of(small_networks(2), features_of(weight=1.0))
    first = distillation_loss(trainer, x, y)
    for k in range(2):
        np.testing.assert_allclose(
            trainer.networks[k].get_layer("bn").moving_mean,
            alone.networks[k].get_layer("bn").moving_mean,
            rtol=1e-5,
        )
    for _ in range(20):
        last = distillation_loss(trainer, x, y)
    assert last < first


def test_a_trainer_with_features_saves_its_networks_once(images, tmp_path):
    x, y = images
    trainer = trainer_of(small_networks(2), features_of())
    before = len(trainer.weights)
    trainer.fit(x, y, batch_size=32, epochs=1, verbose=0)
    assert len(trainer.weights) == before
    trainer.save(tmp_path / "trainer.keras")
    loaded = keras.models.load_model(tmp_path / "trainer.keras")
    np.testing.assert_allclose(
        loaded.predict(x, verbose=0), trainer.predict(x, verbose=0), rtol=1e-5
    )
    assert distillation_loss(loaded, x, y) == pytest.approx(
        distillation_loss(trainer, x, y), rel=1e-4
    )


def test_a_layer_that_is_not_there_is_refused_before_training(images):
    trainer = trainer_of(small_networks(2), features_of(layer="nowhere"))
    with pytest.raises(ValueError, match=r"network_0 has no layer \['nowhere"):
        trainer.fit(*images, verbose=0)
