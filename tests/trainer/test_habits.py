"""What a Keras user does out of habit works on a trainer."""

import io
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from builders import batches
from builders import compiled
from builders import make_trainer
from builders import sgd
from builders import small_network
from builders import small_networks

import keras_graft

RING = keras_graft.grafting.ring_learning_rates(0.1, 3)


def alone(images, *callbacks, epochs=3, accelerate=True, **arguments):
    """History of one network, plainly and through a trainer."""
    histories = []
    for wrap in (False, True):
        model = small_network()
        if wrap:
            model = keras_graft.GraftTrainer(
                [model], distillation=None, accelerate=accelerate
            )
        compiled(model)
        made = [make() for make in callbacks]
        histories.append(
            model.fit(
                batches(images),
                epochs=epochs,
                callbacks=made,
                shuffle=False,
                verbose=0,
                **arguments,
            ).history
        )
    return histories


def halving():
    return keras.callbacks.LearningRateScheduler(lambda _, rate: rate / 2)


def plateau():
    return keras.callbacks.ReduceLROnPlateau(
        "loss", factor=0.1, patience=0, min_delta=1e9, min_lr=0.003
    )


class Warmup(keras.callbacks.Callback):
    def on_train_batch_begin(self, batch, logs=None):
        self.model.optimizer.learning_rate = 0.01 * (batch + 1)


@pytest.mark.parametrize("make", [halving, plateau, Warmup])
def test_learning_rate_callbacks_do_what_they_do_in_plain_fit(images, make):
    plain, trained = alone(images, make)
    assert plain.keys() <= trained.keys()
    for name, values in plain.items():
        np.testing.assert_allclose(trained[name], values, rtol=1e-4)
    if "learning_rate" in plain:
        assert trained["learning_rate"] == trained["learning_rate_network_0"]


@pytest.mark.parametrize("make", [halving, plateau, Warmup])
def test_a_ring_of_rates_is_kept(images, make):
    trainer = make_trainer(
        small_networks(3), optimizer=[sgd(rate) for rate in RING]
    )
    history = trainer.fit(
        batches(images), epochs=3, callbacks=[make()], verbose=0
    ).history
    rates = np.array([history[f"learning_rate_network_{k}"] for k in range(3)])
    np.testing.assert_allclose(
        rates / rates.max(axis=0), np.transpose([RING] * 3) / 0.1, rtol=1e-5
    )
    assert rates.max(axis=0)[-1] < 0.09


def test_callbacks_know_the_direction_of_our_logs(images):
    directions = {
        "val_ensemble_accuracy": "max",
        "network_1_accuracy": "max",
        "val_network_0_loss": "min",
        "distillation_loss": "min",
    }
    callbacks = [
        kind(monitor)
        for monitor in directions
        for kind in (
            keras.callbacks.EarlyStopping,
            keras.callbacks.ReduceLROnPlateau,
        )
    ]
    trainer = make_trainer(small_networks(2))
    trainer.fit(
        batches(images),
        epochs=2,
        validation_data=batches(images),
        callbacks=callbacks,
        verbose=0,
    )
    for callback in callbacks:
        assert callback.mode == directions[callback.monitor]


def test_terminate_on_nan_stops_one_network_as_in_plain_fit(images, caplog):
    x, y = images
    x = x.copy()
    x[40] = np.nan
    made = []

    def terminate():
        made.append(Batches())
        return made[-1]

    alone((x, y), terminate, keras.callbacks.TerminateOnNaN)
    plain, trained = made
    assert plain.count == trained.count == 3
    make_trainer(small_networks(2)).fit(
        batches((x, y)), callbacks=[keras.callbacks.TerminateOnNaN()], verbose=0
    )
    assert "TerminateOnNaN looks at the mean loss" in caplog.text


class Batches(keras.callbacks.Callback):
    count = 0

    def on_train_batch_end(self, batch, logs=None):
        self.count += 1


@pytest.mark.parametrize("count", [1, 2])
def test_results_are_a_list_as_keras_has_it(images, count):
    x, y = images
    top = keras.metrics.SparseTopKCategoricalAccuracy(2, name="top")
    trainer = make_trainer(small_networks(count), metrics=["accuracy", top])
    for call in (
        lambda **more: trainer.evaluate(x, y, verbose=0, **more),
        lambda **more: trainer.test_on_batch(x, y, **more),
    ):
        logs = call(return_dict=True)
        loss, accuracy, among_two = call()
        assert [loss, accuracy, among_two] == pytest.approx(
            [logs["loss"], logs["accuracy"], logs["top"]], rel=1e-5
        )
        assert "network_0_loss" in logs
    assert trainer.metrics_names == ["loss", "accuracy", "top"]
    assert len(trainer.train_on_batch(x, y)) == 3
    only_loss = make_trainer([small_network()], metrics=None)
    assert only_loss.evaluate(x, y, verbose=0) > 0


def test_arguments_by_position_are_those_of_keras(images):
    x, y = images
    weights = np.linspace(0, 1, 64)
    trainer, network = (
        make_trainer([small_network()], distillation=None),
        compiled(small_network()),
    )
    results = []
    for model in (network, trainer):
        history = model.fit(
            x, y, 16, 2, 0, None, 0.0, (x, y), False, None, weights, 0, 2, 2, 8
        ).history
        results.append(
            [
                history["loss"],
                history["val_loss"],
                model.evaluate(x, y, 16, 0, weights, 2),
                model.train_on_batch(x, y, None, {0: 1.0, 1: 2.0, 2: 0, 3: 1}),
                model.test_on_batch(x, y, weights),
            ]
        )
    for plain, trained in zip(*results, strict=True):
        np.testing.assert_allclose(trained, plain, rtol=1e-4)


def test_a_fresh_trainer_is_built_where_its_networks_are(images, tmp_path):
    first, second = (
        make_trainer([small_network(k), small_network(k + 1)], optimizer="sgd")
        for k in (0, 4)
    )
    first.fit(batches(images), verbose=0)
    first.save_weights(tmp_path / "first.weights.h5")
    assert second.count_params() == first.count_params() > 0
    text = io.StringIO()
    second.summary(print_fn=lambda line: text.write(line))
    assert "net4" in text.getvalue()
    second.load_weights(tmp_path / "first.weights.h5")
    np.testing.assert_array_equal(
        first.predict(images[0], verbose=0),
        second.predict(images[0], verbose=0),
    )


def test_networks_are_built_by_what_a_build_config_tells(images, tmp_path):
    # As KerasTuner does it: its `get_best_models` makes a trainer anew.
    def make(seed):
        keras.utils.set_random_seed(seed)
        networks = [
            keras.Sequential(
                [keras.layers.Flatten(), keras.layers.Dense(4, name="dense")]
            )
            for _ in range(2)
        ]
        return make_trainer(networks)

    trained, fresh = make(0), make(1)
    assert trained.get_build_config() is None
    trained.fit(*images, verbose=0)
    trained.save_weights(tmp_path / "found.weights.h5")
    told = json.loads(json.dumps(trained.get_build_config()))
    fresh.build_from_config(told)
    fresh.load_weights(tmp_path / "found.weights.h5")
    np.testing.assert_array_equal(
        fresh.predict(images[0], verbose=0),
        trained.predict(images[0], verbose=0),
    )


@pytest.mark.parametrize("fitted", [False, True])
def test_a_trainer_is_exported_as_what_it_predicts(images, tmp_path, fitted):
    trainer = make_trainer(small_networks(2))
    if fitted:
        trainer.fit(batches(images), verbose=0)
    trainer.export(tmp_path / "exported", verbose=False)
    exported = tf.saved_model.load(tmp_path / "exported")
    np.testing.assert_allclose(
        exported.serve(images[0]),
        trainer.predict(images[0], verbose=0),
        atol=1e-6,
    )


# Data.


def test_validation_data_without_end_needs_steps(images):
    trainer = make_trainer([small_network()])
    endless = batches(images).repeat()
    with pytest.raises(ValueError, match="`validation_data` has no end"):
        trainer.fit(batches(images), validation_data=endless, verbose=0)
    history = trainer.fit(
        batches(images), validation_data=endless, validation_steps=2, verbose=0
    ).history
    assert np.isfinite(history["val_loss"]).all()


def test_empty_validation_data_is_refused(images):
    x, y = images
    trainer = make_trainer([small_network()])
    for empty in ((x[:0], y[:0]), batches(images).take(0), ()):
        with pytest.raises(ValueError, match="`validation_data` holds no"):
            trainer.fit(x, y, validation_data=empty, verbose=0)
    with pytest.raises(ValueError, match="no evaluation data"):
        trainer.evaluate(x[:0], y[:0], verbose=0)


@pytest.mark.parametrize("steps", [3, pytest.param(7, marks=pytest.mark.slow)])
def test_a_resumed_run_draws_the_batches_of_an_uninterrupted_one(
    images, tmp_path, steps
):
    def run(folder, epochs):
        trainer = make_trainer(small_networks(2))
        trainer.fit(
            keras_graft.data.EpochOrdered(images, batch_size=16, seed=0),
            epochs=epochs,
            steps_per_epoch=steps,
            callbacks=[keras_graft.RunCheckpoint(tmp_path / folder)],
            verbose=0,
        )
        return trainer.get_weights()

    whole = run("one", 2)
    for epochs in (1, 2):
        resumed = run("two", epochs)
    for a, b in zip(whole, resumed, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_resumed_run_says_which_learning_rate_counts(
    images, tmp_path, caplog
):
    def run(epochs, optimizer):
        trainer = make_trainer(small_networks(2), optimizer=optimizer)
        return trainer.fit(
            keras_graft.data.EpochOrdered(images, batch_size=16, seed=0),
            epochs=epochs,
            callbacks=[keras_graft.RunCheckpoint(tmp_path)],
            verbose=0,
        ).history

    run(1, sgd(0.1))
    run(2, sgd(0.1))
    assert "compiled with other" not in caplog.text
    rates = run(3, sgd(0.001))["learning_rate_network_1"]
    np.testing.assert_allclose(rates, 0.1, rtol=1e-6)
    assert "0.1 -> 0.001" in caplog.text
    assert "of the checkpoint counts" in caplog.text


@pytest.fixture
def float64():
    keras.config.set_floatx("float64")
    yield
    keras.config.set_floatx("float32")


def test_float64_trains_as_in_plain_fit(images, float64):
    images = images[0].astype("float64"), images[1]
    plain, trained = alone(
        images, validation_data=batches(images), accelerate=False
    )
    for name, values in plain.items():
        np.testing.assert_allclose(trained[name], values, rtol=1e-9)
